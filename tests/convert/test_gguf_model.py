"""A model that goes through a GGUF file is the same model; what llama.cpp reads in it is what llama.cpp expects."""

import os
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.convert.ggml_blocks import TYPES
from tenfold.convert.gguf import GGUF
from tenfold.convert.gguf_model import open_gguf, save_gguf
from tenfold.convert.gguf_names import halves, interleaved
from tenfold.convert.gguf_write import write_gguf
from tenfold.errors import UserError
from tenfold.generate.complete import generate
from tenfold.model.config import ModelConfig
from tenfold.model.families.registry import essence
from tenfold.model.params import model_params
from tenfold.model.transformer import forward, logits
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import train_tokenizer

SMOLLM2 = os.environ.get("TENFOLD_SMOLLM2")
LLAMA = ModelConfig(
    vocab=96,
    context=16,
    layers=2,
    embed=32,
    heads=4,
    kv_heads=2,
    mlp=64,
    positions="rotary",
    rotary_base=5e4,
    norm="rms",
    norm_bias=False,
    norm_eps=1e-6,
    activation="silu",
    gated=True,
    qkv_bias=False,
    out_bias=False,
    mlp_bias=False,
    dtype="float32",
)
GPT2 = ModelConfig(vocab=96, context=16, layers=2, embed=32, heads=4, dtype="float32")
CONFIGS = {
    "llama": LLAMA,
    "llama untied": replace(LLAMA, tied=False),
    "llama with biases and wide heads": replace(LLAMA, qkv_bias=True, out_bias=True, mlp_bias=True, head_dim=16, kv_heads=0),
    "llama with biases of queries only": replace(LLAMA, qkv_bias=True),
    "llama scanned": replace(LLAMA, scan=True),
    "gpt2": GPT2,
    "gpt2 untied": replace(GPT2, tied=False, mlp=96),
    "gpt2 scanned": replace(GPT2, scan=True),
}


def mesh():
    return make_mesh(MeshConfig(), jax.devices()[:1])


def weights(config: ModelConfig):
    """Random numbers that F16 holds exactly, biases and gains too."""
    random = np.random.default_rng(3)

    def one(p):
        return np.asarray(random.normal(1.0 if not p.is_matrix else 0.0, 0.3, p.shape), np.float16).astype(np.float32)

    return jax.tree.map(one, model_params(config), is_leaf=lambda p: hasattr(p, "axes"))


def logits_of(config, params):
    tokens = np.random.default_rng(5).integers(0, config.vocab, (2, 12))
    return np.asarray(jax.jit(lambda params: logits(params, config, forward(params, config, tokens).x_BTD))(params))


def unscanned(config, params):
    """The weights as a file's model has them: a stack a layer."""
    if not config.scan:
        return params
    blocks = [jax.tree.map(lambda w, layer=layer: w[layer : layer + 1], params["blocks"][0]) for layer in range(config.layers)]
    return params | {"blocks": blocks}


@pytest.fixture
def saved(tmp_path):
    def save(config, dtype="F16", **more):
        return save_gguf(tmp_path / "model.gguf", config, weights(config), None, dtype, **more)

    return save


@pytest.fixture(scope="module")
def trained():
    return train_tokenizer([path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py"))], 300)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_gives_back_the_model(name, saved):
    """The same configuration, and the very same weights, where F16 holds them."""
    config = CONFIGS[name]
    opened = open_gguf(saved(config), "float32")
    assert essence(opened.config) == essence(config) and opened.config.dtype == "float32"
    assert opened.tokenizer() is None and opened.chat_template is None
    back, wanted = opened.params(mesh()), unscanned(config, weights(config))
    assert jax.tree.structure(back) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, back, wanted)
    assert {w.dtype for w in jax.tree.leaves(back)} == {np.dtype("float32")}


@pytest.mark.parametrize("name", ["llama untied", "gpt2"])
@pytest.mark.parametrize("dtype, apart", [("F16", 1e-5), ("Q8_0", 0.15)])
def test_logits_through_a_file(name, dtype, apart, saved):
    """Equal where the weights are exact; within Q8_0's rounding, and not equal, where they are not."""
    config = CONFIGS[name]
    opened = open_gguf(saved(config, dtype), "float32")
    wanted, found = logits_of(config, weights(config)), logits_of(opened.config, opened.params(mesh()))
    difference = np.abs(wanted - found).max() / np.abs(wanted).max()
    assert difference <= apart and (difference > 1e-5) == (dtype == "Q8_0")


@given(st.integers(1, 4), st.integers(1, 8), st.sampled_from([(), (3,)]))
def test_the_order_of_rows_has_an_inverse(heads, half, rest):
    rows = np.arange(heads * 2 * half * int(np.prod(rest))).reshape(-1, *rest)
    np.testing.assert_array_equal(halves(interleaved(rows, 2 * half), 2 * half), rows)
    np.testing.assert_array_equal(interleaved(halves(rows, 2 * half), 2 * half), rows)


def test_rows_of_queries_and_keys_lie_in_the_pairs_that_llama_cpp_turns():
    """A model of interleaved pairs with the file's rows has the logits of ours, which turns halves."""
    params = weights(LLAMA)
    rows = {"query": LLAMA.heads, "key": LLAMA.groups}

    def in_file_order(w, heads):
        turned = [interleaved(one.reshape(LLAMA.embed, -1).T, LLAMA.width).T for one in w]
        return np.stack(turned).reshape(len(w), LLAMA.embed, heads, LLAMA.width)

    blocks = [
        b | {"attention": b["attention"] | {n: in_file_order(b["attention"][n], h) for n, h in rows.items()}} for b in params["blocks"]
    ]
    theirs = logits_of(replace(LLAMA, rotary_pairs="interleaved"), params | {"blocks": blocks})
    np.testing.assert_allclose(theirs, logits_of(LLAMA, params), rtol=0, atol=1e-4)
    assert np.abs(logits_of(replace(LLAMA, rotary_pairs="interleaved"), params) - theirs).max() > 0.01


def test_what_is_in_a_llama_file(saved):
    """Torch's layout, [out, in], with rows 2i and 2i + 1 of a head of queries ours i and i + K / 2."""
    file, block = GGUF.open(saved(LLAMA)), weights(LLAMA)["blocks"][1]["attention"]
    K, query = LLAMA.width, file.read("blk.1.attn_q.weight")
    for head in range(LLAMA.heads):
        for i in range(K // 2):
            np.testing.assert_array_equal(query[head * K + 2 * i], block["query"][0, :, head, i])
            np.testing.assert_array_equal(query[head * K + 2 * i + 1], block["query"][0, :, head, i + K // 2])
    np.testing.assert_array_equal(file.read("blk.1.attn_v.weight"), block["value"][0].reshape(LLAMA.embed, -1).T)
    assert file.metadata["llama.attention.head_count_kv"] == 2 and file.metadata["llama.rope.freq_base"] == 5e4
    assert "output.weight" not in file.tensors


def test_what_is_in_a_gpt2_file(saved):
    """Queries, keys and values as one matrix in torch's layout."""
    file, block = GGUF.open(saved(GPT2)), weights(GPT2)["blocks"][0]["attention"]
    parts = [block[name][0].reshape(GPT2.embed, -1).T for name in ("query", "key", "value")]
    np.testing.assert_array_equal(file.read("blk.0.attn_qkv.weight"), np.concatenate(parts))
    assert file.metadata["general.architecture"] == "gpt2" and file.metadata["gpt2.feed_forward_length"] == 4 * GPT2.embed


def test_types_of_tensors(saved):
    """Matrices in the type asked for; what has one axis, and GPT-2's positions, F32; F16 where rows are no multiple of 32."""
    types = {name: tensor.type for name, tensor in GGUF.open(saved(replace(GPT2, mlp=48), "Q8_0")).tensors.items()}
    f32 = {name for name, type in types.items() if type == "F32"}
    assert f32 == {name for name in types if name.endswith(".bias") or "norm" in name or name == "position_embd.weight"}
    assert {name for name, type in types.items() if type == "F16"} == {"blk.0.ffn_down.weight", "blk.1.ffn_down.weight"}
    assert types["token_embd.weight"] == types["blk.0.attn_qkv.weight"] == "Q8_0"


def rewritten(path: Path, change, **metadata) -> Path:
    """The file with another list of tensors (name, array), all F32, and other metadata."""
    file = GGUF.open(path)
    arrays = change({name: file.read(name) for name in file.tensors})
    tensors = [(name, a.shape, "F32", lambda a=a: a) for name, a in arrays.items()]
    return write_gguf(path.with_name("other.gguf"), file.metadata | metadata, tensors)


def test_a_head_that_repeats_the_table_is_tied(saved):
    """As older converters wrote GPT-2; another head is one of its own."""
    path = saved(GPT2)
    same = open_gguf(rewritten(path, lambda t: t | {"output.weight": t["token_embd.weight"]}))
    assert same.config.tied and "head" not in same.params(mesh())
    other = open_gguf(rewritten(path, lambda t: t | {"output.weight": 2 * t["token_embd.weight"]}))
    assert not other.config.tied
    np.testing.assert_array_equal(other.params(mesh())["head"], 2 * weights(GPT2)["embedding"])


@pytest.fixture
def decoded(monkeypatch):
    """How many blocks were decoded, as a list of counts."""
    counts: list[int] = []
    kind = TYPES["Q8_0"]
    counted = replace(kind, decode=lambda blocks: (counts.append(len(blocks)), kind.decode(blocks))[1])
    monkeypatch.setitem(TYPES, "Q8_0", counted)
    return counts


@pytest.mark.parametrize("config", [LLAMA, GPT2])
def test_each_block_is_decoded_once(config, saved, decoded):
    """Of fused matrices too; and what lies in its file as it is, is not decoded at all."""
    opened = open_gguf(saved(config, "Q8_0"))
    opened.params(mesh())
    packed = [tensor.bytes // 34 for tensor in opened.file.tensors.values() if tensor.type == "Q8_0"]
    assert sum(decoded) == sum(packed) > 100


@pytest.mark.parametrize("config", [replace(LLAMA, embed=64, mlp=128, tied=False), replace(GPT2, embed=64)])
def test_a_part_of_a_weight_decodes_its_own_blocks(config, saved, decoded):
    """Half of any axis: the same numbers as the whole's half, from half the blocks; but half of each head's width lies in all of them."""
    opened = open_gguf(saved(config, "Q8_0"))
    seen = 0
    for leaf in jax.tree.leaves(opened.lazy()):
        decoded.clear()
        whole = np.asarray(leaf)
        if not (blocks := sum(decoded)):
            continue
        for axis, size in enumerate(leaf.shape):
            for half in (slice(0, size // 2), slice(size // 2, size)) if size > 1 else ():
                index = tuple(half if place == axis else slice(None) for place in range(len(leaf.shape)))
                decoded.clear()
                np.testing.assert_array_equal(leaf.part(index), whole[index])
                assert sum(decoded) * 2 == blocks or (size == config.width and ".attention." in leaf.name)
                seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    "config, change, metadata, message",
    [
        (LLAMA, {"blk.1.ffn_up.weight": None}, {}, "'blk.1.ffn_up.weight' is missing (our blocks.mlp.up)"),
        (GPT2, {"position_embd.weight": None}, {}, "'position_embd.weight' is missing"),
        (GPT2, {"token_embd.weight": None}, {}, "has no table 'token_embd.weight'"),
        (LLAMA, {"blk.0.extra.weight": np.ones(2, np.float32)}, {}, "'blk.0.extra.weight' is not part of such a model"),
        (LLAMA, {"blk.0.attn_k.weight": np.ones((32, 32), np.float32)}, {}, "'blk.0.attn_k.weight' is [32, 32], but"),
        (GPT2, {}, {"gpt2.embedding_length": 64}, "makes it [96, 64] (our embedding)"),
        (GPT2, {}, {"gpt2.block_count": "two"}, "gpt2.block_count is 'two', and must be a whole number"),
        (GPT2, {}, {"general.architecture": "rwkv6"}, "is of the architecture 'rwkv6'.\n  Known are llama, gpt2."),
        (LLAMA, {}, {"llama.expert_count": 8}, "llama.expert_count is 8"),
        (LLAMA, {}, {"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type 'yarn'"),
        (LLAMA, {"rope_freqs.weight": np.ones(4, np.float32)}, {}, "only plain ones are known"),
        (LLAMA, {}, {"llama.rope.dimension_count": 4}, "llama.attention.key_length is 8"),
    ],
)
def test_files_that_do_not_hold_together_are_refused(config, change, metadata, message, saved):
    path = rewritten(saved(config), lambda t: {n: a for n, a in (t | change).items() if a is not None}, **metadata)
    with pytest.raises(UserError) as refused:
        open_gguf(path)
    assert message in str(refused.value) and "other.gguf" in str(refused.value)


@pytest.mark.parametrize(
    "config, message",
    [
        (replace(LLAMA, activation="gelu"), "llama is the closest:\n    model.activation is 'gelu', there 'silu'\n  Save"),
        (replace(LLAMA, rotary_pairs="interleaved"), "model.rotary_pairs is 'interleaved', there 'halves'"),
        (replace(GPT2, attention=("dense", "banded:4")), "gpt2 is the closest:\n    model.attention is "),
        (replace(GPT2, residual="parallel"), "model.residual is 'parallel', there 'sequential'"),
        (replace(LLAMA, experts=4), "model.experts is 4, there 0"),
    ],
)
def test_other_models_are_refused_with_what_differs(config, message, tmp_path):
    with pytest.raises(UserError) as refused:
        save_gguf(tmp_path / "x.gguf", config, {}, None)
    assert message in str(refused.value) and not list(tmp_path.iterdir())


def test_another_type_is_refused(saved):
    with pytest.raises(UserError, match="dtype is 'Q4_0', and a model's matrices are written as one of F16, Q8_0"):
        saved(GPT2, "Q4_0")


def test_a_tokenizer_goes_along(trained, tmp_path):
    """The same ids from a tokenizer with fewer tokens than the table has rows, none of which is drawn for filling; and the template."""
    config = replace(LLAMA, vocab=trained.vocab + 20)
    path = save_gguf(tmp_path / "x.gguf", config, weights(config), trained, chat_template="{{ messages }}")
    assert len(GGUF.open(path).metadata["tokenizer.ggml.tokens"]) == config.vocab
    opened = open_gguf(path)
    back, text = opened.tokenizer(), "def f(x):\n    return 'é'"
    assert (back.vocab, back.end_of_text, back.encode(text)) == (trained.vocab, trained.end_of_text, trained.encode(text))
    assert opened.config.vocab == config.vocab and opened.chat_template == "{{ messages }}"


@pytest.mark.skipif(
    not SMOLLM2, reason="set TENFOLD_SMOLLM2 to SmolLM2-135M-Instruct's .gguf; benchmarks/parity/smollm2.py says where it is"
)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_smollm2_knows_the_capital_of_france(dtype):
    opened = open_gguf(SMOLLM2, dtype)
    params, tokenizer = opened.params(mesh()), opened.tokenizer()
    (written,) = generate(params, opened.config, tokenizer, ["The capital of France is"], max_tokens=8, temperature=0)
    assert " Paris" in written.text
