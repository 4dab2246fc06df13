"""The same numbers as the Hugging Face library's GPT-2, from a file it wrote: tests/golden/gpt2_tiny.py."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tenfold.model.config import ModelConfig
from tenfold.model.params import restack
from tenfold.objectives.causal import causal_loss

LAYERS, HEADS = 2, 4
CONFIGS = [
    ModelConfig(vocab=64, context=16, layers=LAYERS, embed=32, heads=HEADS, dtype="float32", scan=scan, remat=remat)
    for scan, remat in ((False, "none"), (True, "none"), (True, "block"))
]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent.parent / "golden" / "gpt2_tiny.npz") as file:
        return dict(file)


def ours(golden, kind: str, config: ModelConfig):
    """Its `weight`s or `gradient`s as our tree."""

    def get(name):
        return jnp.asarray(golden[f"{kind}/transformer.{name}"])

    def linear(name, out_shape, *names):
        weights = jnp.split(get(f"{name}.weight"), len(names), axis=1)
        biases = jnp.split(get(f"{name}.bias"), len(names))
        pairs = zip(names, weights, biases, strict=True)
        return {k: v for n, w, b in pairs for k, v in ((n, w.reshape(w.shape[0], *out_shape)), (f"{n}_bias", b.reshape(out_shape)))}

    def norm(name):
        return {"scale": get(f"{name}.weight"), "bias": get(f"{name}.bias")}

    def layer(number):
        h = f"h.{number}"
        attention = linear(f"{h}.attn.c_attn", (HEADS, 8), "query", "key", "value")
        attention |= {"out": get(f"{h}.attn.c_proj.weight").reshape(HEADS, 8, 32), "out_bias": get(f"{h}.attn.c_proj.bias")}
        mlp = linear(f"{h}.mlp.c_fc", (-1,), "up") | linear(f"{h}.mlp.c_proj", (-1,), "down")
        parts = {"attention_norm": norm(f"{h}.ln_1"), "attention": attention, "mlp_norm": norm(f"{h}.ln_2"), "mlp": mlp}
        return jax.tree.map(lambda w: w[None], parts)

    blocks = restack([layer(number) for number in range(LAYERS)], config.period)
    return {"embedding": get("wte.weight"), "position": get("wpe.weight"), "blocks": blocks, "final_norm": norm("ln_f")}


def test_logits(golden, score):
    """Within 1e-5 of logits that go up to about 6."""
    config = CONFIGS[0]
    found = score(ours(golden, "weight", config), config, jnp.asarray(golden["tokens"]))
    np.testing.assert_allclose(found, golden["logits"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=["unrolled", "scanned", "scanned, rematerialised"])
def test_loss_and_every_gradient(golden, config):
    """The loss within 1e-6 relative; each weight's gradient within 1e-5 of its largest entry (or 1e-6, for those that are zero)."""
    tokens_BT = jnp.asarray(golden["tokens"])
    targets_BT = jnp.roll(tokens_BT, -1, axis=1)
    weights_BT = jnp.ones(tokens_BT.shape).at[:, -1].set(0)  # its labels are its tokens, so the last position predicts nothing

    def loss(params):
        sums = causal_loss(params, config, tokens_BT, targets_BT, weights_BT)
        return sums.loss / sums.weight

    value, gradients = jax.jit(jax.value_and_grad(loss))(ours(golden, "weight", config))
    assert float(value) == pytest.approx(float(golden["loss"]), rel=1e-6)
    wanted = dict(jax.tree_util.tree_flatten_with_path(ours(golden, "gradient", config))[0])
    for path, found in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        np.testing.assert_allclose(
            found, wanted[path], rtol=0, atol=max(1e-5 * np.abs(wanted[path]).max(), 1e-6), err_msg=jax.tree_util.keystr(path)
        )
    assert len(wanted) == len(jax.tree.leaves(gradients))
