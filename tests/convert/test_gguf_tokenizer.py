"""A tokenizer that goes through GGUF gives the same ids; llama.cpp's own vocabularies give llama.cpp's."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers

from tenfold.convert.gguf import GGUF
from tenfold.convert.gguf_tokenizer import LLAMA3, NAMES, PRE, chat_template, tokenizer_json, tokenizer_metadata
from tenfold.convert.gguf_write import write_gguf
from tenfold.convert.sentencepiece import merges_by_score
from tenfold.errors import UserError
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer

VOCABS = os.environ.get("TENFOLD_GGUF_VOCABS")
SEPARATOR = "\n__ggml_vocab_test__\n"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(
    st.sampled_from(["the ", "  ", "\n\n", "\r\n", "12", "345", "'s", "'LL", "é", "🙂", "<|endoftext|>", "a", "<s>", "def f(x):"])
).map("".join)


@pytest.fixture(scope="module")
def trained():
    texts = [path.read_text() for path in sorted(Path(__file__).parent.parent.rglob("test_*.py"))[:12]]
    return train_tokenizer(texts, 700)


def text_of(tokenizer: Tokenizer, directory: Path) -> str:
    return tokenizer.save(directory).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def texts_of_kinds(trained, tmp_path_factory):
    """The trained tokenizer's text, and again with each way of cutting text that has a name."""
    text = text_of(trained, tmp_path_factory.mktemp("tokenizer"))
    whole = {"gpt-2": text}
    for name in PRE:
        metadata = tokenizer_metadata(text) | {"tokenizer.ggml.pre": name}
        whole[name] = tokenizer_json(metadata)
    return whole


@pytest.fixture(scope="module")
def returned(texts_of_kinds, tmp_path_factory):
    """Each of these through a GGUF file."""
    tokenizers = {}
    for name, text in texts_of_kinds.items():
        path = write_gguf(tmp_path_factory.mktemp("gguf") / "x.gguf", tokenizer_metadata(text), [])
        metadata = GGUF.open(path).metadata
        assert metadata["tokenizer.ggml.pre"] == name
        tokenizers[name] = Tokenizer(text), Tokenizer(tokenizer_json(metadata))
    return tokenizers


@given(ANY_TEXT)
def test_ids_survive_a_gguf_file(returned, text):
    for before, after in returned.values():
        ids = before.encode(text)
        assert after.encode(text) == ids
        assert after.decode(ids) == text and after.end_of_text not in ids


def test_ends_survive_a_gguf_file(returned, trained):
    for before, after in returned.values():
        assert (after.end_of_text, after.vocab) == (before.end_of_text, before.vocab) == (trained.end_of_text, trained.vocab)
    before, after = returned["gpt-2"]
    assert after.fingerprint == before.fingerprint


def test_ways_of_cutting_differ(returned):
    """Each name cuts the text that is its own."""
    pieces = {name: [after.decode([id]) for id in after.encode("it'S 12  34")] for name, (_, after) in returned.items()}
    assert "2" in pieces["smollm"] and "".join(pieces["smollm"]) == "it'S 12  34"
    assert json.loads(tokenizer_json_of("smollm"))["pre_tokenizer"]["pretokenizers"][0] == {"type": "Digits", "individual_digits": True}
    assert json.loads(tokenizer_json_of("llama-bpe"))["model"]["ignore_merges"] is True
    assert json.loads(tokenizer_json_of("dbrx"))["model"]["ignore_merges"] is False


LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def tiny(**keys) -> dict:
    """Metadata of a tokenizer of single bytes."""
    tokens = ["<|endoftext|>", *LETTERS]
    made = {"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "token_type": [3] + [1] * 256, "merges": [], "eos_token_id": 0} | keys
    return {f"tokenizer.ggml.{key}": value for key, value in made.items() if value is not None}


def tokenizer_json_of(pre: str) -> str:
    return tokenizer_json(tiny(pre=pre))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_tokenizer(name):
    assert Tokenizer(tokenizer_json_of(name)).decode(Tokenizer(tokenizer_json_of(name)).encode("It's 2 o'clock…")) == "It's 2 o'clock…"


def test_user_defined_tokens_are_found_in_text_and_control_tokens_are_not():
    tokens = ["<|endoftext|>", *LETTERS, "<tool>", "<|im_end|>", "<|odd_end|>"]
    made = Tokenizer(tokenizer_json(tiny(tokens=tokens, token_type=[3] + [1] * 256 + [4, 4, 4], eos_token_id=259)))
    assert 257 in made.encode("a<tool>b")
    assert not {0, 258, 259} & set(made.encode("<|endoftext|><|im_end|><|odd_end|>"))
    assert made.decode([258]) == "<|im_end|>"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"model": "t5"}, "model is 't5'"),
        ({"pre": "tekken"}, "pre is 'tekken'"),
        ({"pre": None}, "pre is None"),
        ({"merges": None}, "merges"),
        ({"tokens": [1, 2]}, "tokens"),
        ({"token_type": [1]}, "1 values for 257"),
        ({"tokens": ["a", "a"], "token_type": [1, 1]}, "twice"),
        ({"merges": ["zz zz"]}, "does not hold together"),
        ({"tokens": LETTERS, "token_type": [1] * 256}, "ends a document"),
    ],
)
def test_a_refusal_names_the_key(keys, says):
    with pytest.raises(UserError, match=says):
        tokenizer_json(tiny(**keys))


def spaced(text: str) -> str:
    return "▁" + text.replace(" ", "▁")


def sentencepiece() -> dict:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = ["▁", "h", "e", "l", "o", "a", "<", "s", ">", "he", "ll", "llo", "hello", "▁hello", "aa", "aaa", "<s"]
    types = [2, 3, 3] + [6] * 256 + [1] * len(words)
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(words))]
    keys = {"model": "llama", "tokens": pieces + words, "token_type": types, "scores": scores, "bos_token_id": 1, "eos_token_id": 2}
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()}


def by_score(text: str, metadata: dict) -> list[str]:
    """SentencePiece's search, plainly: join the neighbours with the best joint score, leftmost first."""
    tokens, scores, types = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "scores", "token_type"))
    score = {token: scores[id] for id, token in enumerate(tokens) if types[id] == 1}
    parts = list(spaced(text))
    while joints := [(-score[a + b], at) for at, (a, b) in enumerate(zip(parts, parts[1:], strict=False)) if a + b in score]:
        _, at = min(joints)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [piece for part in parts for piece in ([part] if part in score else [f"<0x{byte:02X}>" for byte in part.encode()])]


@given(st.text(st.sampled_from("helo as<>é🙂"), min_size=1))
@example("<s>")
def test_sentencepiece_joins_by_score(text):
    metadata = sentencepiece()
    made = Tokenizer(tokenizer_json(metadata))
    ids = made.encode(text)
    assert [metadata["tokenizer.ggml.tokens"][id] for id in ids] == by_score(text, metadata)
    assert made.decode(ids) == text and not {0, 1, 2} & set(ids)


def test_sentencepiece_without_a_leading_space():
    made = Tokenizer(tokenizer_json(sentencepiece() | {"tokenizer.ggml.add_space_prefix": False}))
    assert made.decode(made.encode("hello")) == "hello" and len(made.encode("hello")) == 1


def test_merges_come_best_first():
    assert merges_by_score(["a", "b", "ab", "ba", "aba"], [0, 0, -2, -1, -3], [2, 3, 4]) == [
        ["b", "a"],
        ["a", "b"],
        ["a", "ba"],
        ["ab", "a"],
    ]


def test_rows_without_a_token_get_a_name(trained, tmp_path):
    metadata = tokenizer_metadata(text_of(trained, tmp_path), vocab=trained.vocab + 3, chat_template="{{ messages }}")
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    assert tokens[-3:] == [f"[PAD{trained.vocab + i}]" for i in range(3)] and types[-3:] == [5, 5, 5]
    assert types[trained.end_of_text] == 3 and len(tokens) == len(types) == trained.vocab + 3
    assert metadata["tokenizer.ggml.eos_token_id"] == trained.end_of_text
    assert chat_template(metadata) == "{{ messages }}" and chat_template({}) is None
    assert Tokenizer(tokenizer_json(metadata)).encode("the [PAD700]") == trained.encode("the [PAD700]")


def changed(text: str, **keys) -> str:
    return json.dumps(json.loads(text) | keys)


def test_what_llama_cpp_cannot_be_is_refused(trained, tmp_path):
    text = text_of(trained, tmp_path)
    prefix = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    for keys in ({"pre_tokenizer": prefix}, {"pre_tokenizer": None}, {"normalizer": {"type": "Lowercase"}}):
        with pytest.raises(UserError, match="no name for"):
            tokenizer_metadata(changed(text, **keys))
    with pytest.raises(UserError, match="not byte-level"):
        tokenizer_metadata(changed(text, decoder=None))


def test_the_models_own_spelling_is_known():
    """Llama 3's and Qwen 2's tokenizer.json write the expression with (?i:)."""
    made = Library(models.BPE({"<|endoftext|>": 0, "a": 1}, [], ignore_merges=True))
    made.decoder = decoders.ByteLevel()
    own = LLAMA3.replace("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)")
    split = {"type": "Split", "pattern": {"Regex": own}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    text = changed(made.to_str(), pre_tokenizer={"type": "Sequence", "pretokenizers": [split, level]})
    assert own != LLAMA3 and tokenizer_metadata(text)["tokenizer.ggml.pre"] == "llama-bpe"


@pytest.mark.parametrize("name", ["gpt-2", "llama-bpe", "llama-spm", "mpt", "phi-3", "qwen2", "refact", "starcoder"])
def test_llama_cpps_own_vocabularies(name):
    """The conformance pairs of llama.cpp: texts, and the ids that its converter's source gave them."""
    if not VOCABS:
        pytest.skip("TENFOLD_GGUF_VOCABS does not name llama.cpp's folder models/")
    path = Path(VOCABS) / f"ggml-vocab-{name}.gguf"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    made = Tokenizer(tokenizer_json(GGUF.open(path).metadata))
    texts = path.with_name(path.name + ".inp").read_bytes().decode().split(SEPARATOR)
    ids = path.with_name(path.name + ".out").read_text().split("\n")[: len(texts)]
    assert len(texts) > 40
    for text, line in zip(texts, ids, strict=True):
        assert made.encode(text) == [int(id) for id in line.split()], text
