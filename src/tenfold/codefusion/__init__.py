"""CodeFusion: text to code by diffusion, with masked-diffusion and autoregressive models of equal size beside it."""
