"""Makes gpt2_tiny.npz: a tiny GPT-2 of the Hugging Face library, its weights, and what it computes with them.

Written by transformers 5.23.0 on PyTorch 2.13.0, CPU, f32 (the file says so under `library`). Not run by the tests: it needs torch and
transformers, which Tenfold does not. To make it anew, in an environment with both:  python tests/golden/gpt2_tiny.py

The file holds `weight/NAME` and `gradient/NAME` of every parameter under the library's names, `tokens` [2, 16], `logits` [2, 16, 64] and
the `loss`, which is the mean over tokens 1..15 of both rows. Weights, biases and gains are drawn far from their usual starts, so that
nothing that is swapped, transposed or left out goes unseen.
"""

from pathlib import Path

import numpy as np
import torch
import transformers

VOCAB, CONTEXT, EMBED, LAYERS, HEADS = 64, 16, 32, 2, 4


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = transformers.GPT2Config(
        vocab_size=VOCAB,
        n_positions=CONTEXT,
        n_embd=EMBED,
        n_layer=LAYERS,
        n_head=HEADS,
        activation_function="gelu_new",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        layer_norm_epsilon=1e-5,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )
    model = transformers.GPT2LMHeadModel(config).float().train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_((1.0 if "ln_" in name and name.endswith("weight") else 0.0) + 0.3 * torch.randn_like(weight))
    tokens = torch.randint(VOCAB, (2, CONTEXT))
    found = model(input_ids=tokens, labels=tokens)
    found.loss.backward()

    arrays = {"tokens": tokens.numpy().astype(np.int32), "logits": found.logits.detach().numpy(), "loss": found.loss.detach().numpy()}
    arrays["library"] = np.array(f"transformers {transformers.__version__}, torch {torch.__version__}")
    for name, weight in model.named_parameters():
        arrays[f"weight/{name}"] = weight.detach().numpy()
        arrays[f"gradient/{name}"] = weight.grad.numpy()
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    main()
