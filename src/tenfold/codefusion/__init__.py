"""CodeFusion: a diffusion model that writes code, the languages it writes, and how what it wrote is judged."""
