"""Our adapters in the PEFT library: the same logits there and here, from tests/golden/families/llama. Needs torch, transformers and peft.

python benchmarks/parity/peft_adapter.py write OUT     with Tenfold: adapters of random numbers, and our logits
python benchmarks/parity/peft_adapter.py check OUT     with PEFT: loads them, prints the largest difference, fails above 1e-4
"""

import sys
from pathlib import Path

import numpy as np

BASE = Path(__file__).parents[2] / "tests" / "golden" / "families" / "llama"
TOLERANCE = 1e-4


def write(out: Path) -> None:
    import jax
    import jax.numpy as jnp

    from tenfold.convert.hugging_face import open_checkpoint
    from tenfold.convert.peft import save_adapters
    from tenfold.model.transformer import forward, logits
    from tenfold.sharding.axes import make_mesh
    from tenfold.sharding.config import MeshConfig
    from tenfold.train.lora import init_adapters, merge
    from tenfold.train.recipe import LORA_TARGETS, LoraConfig

    lora, checkpoint = LoraConfig(rank=3, alpha=7.0, targets=LORA_TARGETS), open_checkpoint(BASE, "float32")
    config, params = checkpoint.config, checkpoint.params(make_mesh(MeshConfig(), jax.devices()[:1]))
    random = np.random.default_rng(0)
    adapters = jax.tree.map(
        lambda w: jnp.asarray(random.normal(0, 0.3, w.shape), jnp.float32), init_adapters(jax.random.key(0), config, lora)
    )
    tokens = jnp.asarray(random.integers(0, config.vocab, (2, 16)), jnp.int32)

    def found(params):
        return np.asarray(logits(params, config, forward(params, config, tokens).x_BTD))

    save_adapters(out, config, adapters, lora.alpha, str(BASE))
    np.savez(out / "ours.npz", tokens=tokens, base=found(params), adapted=found(merge(params, adapters, lora)))


def check(out: Path) -> None:
    import peft
    import torch
    import transformers

    with np.load(out / "ours.npz") as file:
        ours = dict(file)
    base = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, out)
    with torch.no_grad():
        theirs = model(torch.from_numpy(ours["tokens"]).long()).logits.numpy()
    difference, moved = np.abs(theirs - ours["adapted"]).max(), np.abs(ours["adapted"] - ours["base"]).max()
    print(f"peft {peft.__version__}: largest difference {difference:.1e}; the adapters change the logits by up to {moved:.2f}")
    if difference > TOLERANCE or moved < 100 * TOLERANCE:
        sys.exit("the adapters do not do there what they do here")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
