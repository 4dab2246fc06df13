"""The same numbers as the Hugging Face library's models, from checkpoints it wrote: tests/golden/families.py."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from tenfold.convert.hugging_face import open_checkpoint, save_checkpoint
from tenfold.convert.tensor_files import open_tensors
from tenfold.convert.weights import Names, load_weights
from tenfold.errors import UserError
from tenfold.model.cache import empty_cache
from tenfold.model.config import ModelConfig
from tenfold.model.families.registry import FAMILIES, family_of
from tenfold.model.params import restack
from tenfold.model.transformer import encode, forward, logits
from tenfold.objectives.causal import causal_loss
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import train_tokenizer
from tenfold.train.start import open_trained

GOLDEN = Path(__file__).parent.parent / "golden" / "families"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/expected.npz"))


@pytest.fixture(scope="session")
def one():
    return make_mesh(MeshConfig(), jax.devices()[:1])


def expected(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / case / "expected.npz") as file:
        return dict(file)


def model_type(case: str) -> str:
    return json.loads((GOLDEN / case / "config.json").read_text())["model_type"]


@pytest.mark.parametrize("case", CASES)
def test_logits(case, one):
    """Within 5e-5 of logits that go up to several units, and the same likeliest token everywhere."""
    checkpoint, wanted = open_checkpoint(GOLDEN / case, "float32"), expected(case)
    config, params, tokens = checkpoint.config, checkpoint.params(one), jnp.asarray(wanted["tokens"])

    @jax.jit
    def found(params):
        if not config.encoder_layers:
            return logits(params, config, forward(params, config, tokens).x_BTD)
        encoded = encode(params, config, tokens)
        return logits(params, config, forward(params, config, jnp.asarray(wanted["decoder_tokens"]), encoded=encoded).x_BTD)

    ours = np.asarray(found(params))
    np.testing.assert_allclose(ours, wanted["logits"], rtol=0, atol=5e-5)
    assert (ours.argmax(-1) == wanted["logits"].argmax(-1)).all()


@pytest.mark.parametrize("case", [case for case in CASES if case != "bert"])
def test_cached_decoding_is_scoring(case, one):
    """A prompt read at once and then a token at a time gives the logits of scoring the whole, for every kind of position and attention."""
    checkpoint, wanted = open_checkpoint(GOLDEN / case, "float32"), expected(case)
    config, params = checkpoint.config, checkpoint.params(one)
    tokens = jnp.asarray(wanted["decoder_tokens" if config.encoder_layers else "tokens"])
    encoded = encode(params, config, jnp.asarray(wanted["tokens"])) if config.encoder_layers else None

    @jax.jit
    def more(params, tokens_BT, cache):
        x_BTD, cache, _ = forward(params, config, tokens_BT, cache=cache, encoded=encoded)
        return logits(params, config, x_BTD), cache

    read, cache = more(params, tokens[:, :4], empty_cache(config, len(tokens), 32))
    pieces = [read]
    for place in range(4, tokens.shape[1]):
        read, cache = more(params, tokens[:, place : place + 1], cache)
        pieces.append(read)
    np.testing.assert_allclose(np.concatenate(pieces, 1), wanted["logits"], rtol=0, atol=5e-5)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("case", ["gpt2", "gpt_neo", "llama"])
def test_the_loss_and_every_gradient(case, scan, one):
    """The loss within 1e-6 and each weight's gradient within 1e-5 of its largest entry, their names and layouts put back by our table."""
    checkpoint, wanted = open_checkpoint(GOLDEN / case, "float32"), expected(case)
    config = replace(checkpoint.config, scan=scan)
    names = Names(config, FAMILIES[model_type(case)].rows(config))
    params = load_weights(names, lambda name: checkpoint.tensors[name].view(), one)
    tokens = jnp.asarray(wanted["tokens"])

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        sums = causal_loss(params, config, tokens[:, :-1], tokens[:, 1:], jnp.ones((2, 23)))
        return sums.loss / sums.weight

    value, gradients = loss(params)
    assert float(value) == pytest.approx(float(wanted["loss"]), rel=1e-6)
    theirs = {key.removeprefix("grad/"): array for key, array in wanted.items() if key.startswith("grad/")}
    for name, row, place, layer in names.tensors():
        ours = names.write(row, place, layer, gradients)
        np.testing.assert_allclose(ours, theirs.pop(name), rtol=0, atol=max(1e-5 * np.abs(ours).max(), 1e-6), err_msg=name)
    assert not theirs, "every parameter of theirs has a gradient of ours"


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_what_was_loaded(case, one, tmp_path):
    """Names, shapes and every number of the tensors, and a config.json that reads as the same model."""
    checkpoint = open_checkpoint(GOLDEN / case, "float32")
    save_checkpoint(tmp_path / "saved", checkpoint.config, checkpoint.params(one), None)
    again = open_checkpoint(tmp_path / "saved", "float32")
    assert family_of(again.config)[0].model_type == model_type(case)
    assert again.tensors.keys() == checkpoint.tensors.keys()
    for name, tensor in checkpoint.tensors.items():
        np.testing.assert_array_equal(again.tensors[name].view(), tensor.view(), err_msg=name)


def test_weights_come_as_the_blocks_are_stacked(one):
    """Looped over or not, the same numbers; mixed patterns too."""
    for case in ("gpt_neo", "mixtral", "t5"):
        checkpoint = open_checkpoint(GOLDEN / case, "float32")
        looped = replace(checkpoint.config, scan=True)
        params = load_weights(Names(looped, checkpoint.names.rows), lambda name, c=checkpoint: c.tensors[name].view(), one)
        for stacks, period in ((params["blocks"], looped.period), (params.get("encoder", params)["blocks"], None)):
            wanted = (checkpoint.params(one) if period else checkpoint.params(one).get("encoder", checkpoint.params(one)))["blocks"]
            jax.tree.map(np.testing.assert_array_equal, restack(stacks, len(wanted)), wanted)


def test_a_sharded_checkpoint_is_the_same_model(one):
    whole, sharded = (open_checkpoint(GOLDEN / case) for case in ("llama", "llama_sharded"))
    assert whole.config == sharded.config
    jax.tree.map(np.testing.assert_array_equal, whole.params(one), sharded.params(one))


def copy(case: str, to: Path) -> Path:
    shutil.copytree(GOLDEN / case, to)
    return to


def test_what_does_not_fit_is_named(tmp_path):
    """Missing, unexpected and misshapen tensors, all in one message, with both names."""
    place = copy("llama", tmp_path / "a")
    tensors = {name: np.array(t.view()) for name, t in open_tensors(place).items()}
    tensors["model.layers.0.self_attn.q_bias"] = np.zeros(3, np.float32)
    del tensors["model.norm.weight"]
    tensors["model.layers.1.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"].T
    save_file({name: np.ascontiguousarray(a) for name, a in tensors.items()}, place / "model.safetensors")
    with pytest.raises(UserError) as refused:
        open_checkpoint(place)
    for words in (
        "'model.norm.weight' is missing (our final_norm.scale)",
        "'model.layers.0.self_attn.q_bias' is not part of such a model",
        "'model.layers.1.mlp.up_proj.weight' is [16, 28], but its configuration makes it [28, 16] (our blocks.mlp.up)",
    ):
        assert words in str(refused.value)


@pytest.mark.parametrize("kept", [0, 4, 100, -1, -1000])
def test_a_file_cut_short_is_refused(tmp_path, kept):
    place = copy("gpt2", tmp_path / "a")
    data = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(data[:kept])
    with pytest.raises(UserError, match="model.safetensors"):
        open_checkpoint(place)


def test_a_pickle_is_never_read(tmp_path):
    place = copy("gpt2", tmp_path / "a")
    (place / "model.safetensors").unlink()
    (place / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UserError, match="pickle.*\n.*save_pretrained"):
        open_checkpoint(place)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(model_type="mamba"), "of the family 'mamba'"),
        (dict(activation_function="swish"), "'swish'"),
        (dict(n_layer=None), "has no n_layer"),
        (dict(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx True"),
        (dict(n_embd=18), "which 4 does not divide"),
    ],
)
def test_a_configuration_we_do_not_have_is_refused(tmp_path, change, words):
    place = copy("gpt2", tmp_path / "a")
    said = json.loads((place / "config.json").read_text()) | change
    (place / "config.json").write_text(json.dumps(said))
    with pytest.raises(UserError, match=words):
        open_checkpoint(place)


def test_older_names_of_rotary_settings(tmp_path):
    """config.json as transformers 4 wrote it reads as the same model."""
    for case, old in (("gpt_neox", dict(rotary_pct=0.5, rotary_emb_base=10000)), ("llama_gqa", dict(rope_theta=1e5, rope_scaling=None))):
        place = copy(case, tmp_path / case)
        said = {k: v for k, v in json.loads((place / "config.json").read_text()).items() if k != "rope_parameters"}
        (place / "config.json").write_text(json.dumps(said | old))
        assert open_checkpoint(place).config == open_checkpoint(GOLDEN / case).config


def test_names_without_the_model_in_front(tmp_path, one):
    """GPT-2 as first released: `h.0...` for `transformer.h.0...`, with masks among the tensors."""
    place = copy("gpt2", tmp_path / "a")
    tensors = {name.removeprefix("transformer."): np.array(t.view()) for name, t in open_tensors(place).items()}
    save_file(tensors | {"h.0.attn.bias": np.ones((1, 1, 32, 32), np.float32)}, place / "model.safetensors")
    jax.tree.map(np.testing.assert_array_equal, open_checkpoint(place).params(one), open_checkpoint(GOLDEN / "gpt2").params(one))


def test_a_model_of_no_family_is_not_saved(tmp_path):
    """GPT-3's alternating bands: GPT-Neo has them, but does not scale its scores."""
    config = ModelConfig(vocab=8, context=8, layers=2, embed=4, heads=1, attention=("dense", "banded:4"))
    with pytest.raises(UserError, match="no family"):
        save_checkpoint(tmp_path / "a", config, {}, None)
    assert not (tmp_path / "a").exists()


def test_a_tokenizer_of_two_files_comes_with_the_model(tmp_path):
    """As CodeT5's directory has it: the model's own tokenizer, and the one that a training which starts from it uses."""
    shutil.copytree(GOLDEN / "t5", tmp_path, dirs_exist_ok=True)
    assert open_checkpoint(tmp_path).tokenizer() is None and open_trained(tmp_path, "float32").tokenizer_path is None
    made = train_tokenizer(["def f(x):"] * 3, 260)
    spec = json.loads(Path(made.save(tmp_path / "whole")).read_text("utf-8"))["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(spec["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in spec["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]), "utf-8")
    found = open_checkpoint(tmp_path).tokenizer()
    assert found and found.encode("def f(x): return x") == made.encode("def f(x): return x")
    assert open_trained(tmp_path, "float32").tokenizer_path == tmp_path
