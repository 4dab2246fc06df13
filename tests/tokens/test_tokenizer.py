"""Text goes in and the same text comes out; no text makes a control id."""

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers

from tenfold.errors import UserError
from tenfold.tokens.tokenizer import END_OF_TEXT, Tokenizer, train_tokenizer

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
AWKWARD = st.lists(st.sampled_from([END_OF_TEXT, "<|", "|>", " ", "\n\n", "\r\n", "é", "e\u0301", "🙂", "\0", "\ufeff", "def ", "１"])).map(
    "".join
)


@given(ANY_TEXT | AWKWARD)
def test_decoding_undoes_encoding(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()


@given(ANY_TEXT | AWKWARD)
def test_no_text_is_a_control_id(tokenizer, text):
    for ids in (tokenizer.encode(text + END_OF_TEXT + text), tokenizer.encode_batch([END_OF_TEXT + text])[0]):
        assert tokenizer.end_of_text not in ids


@given(st.lists(AWKWARD, max_size=5))
def test_a_batch_is_its_texts(tokenizer, texts):
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


@given(st.data())
def test_bytes_of_any_ids_add_up(tokenizer, data):
    """However ids are cut, also inside a character: what streaming and bits per byte rest on."""
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab - 1)))
    assert b"".join(tokenizer.decode_bytes([id]) for id in ids) == tokenizer.decode_bytes(ids)
    assert tokenizer.decode(ids) == tokenizer.decode_bytes(ids).decode("utf-8", "replace")


def test_half_a_character_decodes_to_a_mark(tokenizer):
    ids = tokenizer.encode("🙂")
    assert len(ids) > 1 and tokenizer.decode(ids[:1]) == "\ufffd"


def test_the_end_of_text_decodes_to_its_name(tokenizer):
    assert tokenizer.decode([tokenizer.end_of_text]) == END_OF_TEXT
    assert tokenizer.encode(END_OF_TEXT) != [tokenizer.end_of_text]


def test_training_repeats(documents, tokenizer, run_python, tmp_path):
    """In another process too, where hashes are seeded anew."""
    (tmp_path / "texts.json").write_text(json.dumps([each.text for each in documents]))
    code = """
        import json, sys
        from tenfold.tokens.tokenizer import train_tokenizer
        print(train_tokenizer(json.load(open("texts.json")), 512).fingerprint)
    """
    assert run_python(code, cwd=tmp_path, env={"PYTHONHASHSEED": "7"}).strip() == tokenizer.fingerprint


def test_the_size_is_the_one_asked_for(documents, tokenizer):
    assert tokenizer.vocab == 512
    assert train_tokenizer(["aaaa"], 5000).vocab < 300  # little text has few pairs; every byte is there all the same


def test_saving_keeps_everything(tokenizer, tmp_path):
    path = tokenizer.save(tmp_path)
    for place in (path, tmp_path, str(tmp_path)):
        again = Tokenizer.load(place)
        assert (again.fingerprint, again.vocab, again.end_of_text) == (tokenizer.fingerprint, tokenizer.vocab, tokenizer.end_of_text)
        assert again.encode("import os\n") == tokenizer.encode("import os\n")
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_gpt2s_own_files(gpt2_files, tokenizer, documents):
    """encoder.json and vocab.bpe give the tokens of the tokenizer.json they were taken from, under their own numbers."""
    gpt2 = Tokenizer.load(gpt2_files)
    assert gpt2.vocab == tokenizer.vocab and gpt2.end_of_text == gpt2.vocab - 1
    for each in documents[:5]:
        ids, pieces = gpt2.encode(each.text), tokenizer.encode(each.text)
        assert [gpt2.decode_bytes([id]) for id in ids] == [tokenizer.decode_bytes([id]) for id in pieces]


def test_codet5s_files(gpt2_files, documents, tmp_path):
    """vocab.json, merges.txt and the sentinels of an added_tokens.json, as the library itself reads the first two."""
    ordinary = [token for token in json.loads((gpt2_files / "encoder.json").read_text("utf-8")) if token != END_OF_TEXT]
    vocab = {token: id for id, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "<mask>", *ordinary])}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text((gpt2_files / "vocab.bpe").read_text("utf-8"), "utf-8")
    sentinels = {f"<extra_id_{n}>": len(vocab) + 9 - n for n in range(10)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(sentinels))
    found = Tokenizer.load(tmp_path)
    library = tokenizers.ByteLevelBPETokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    for each in documents[:5]:
        assert found.encode(each.text) == library.encode(each.text).ids
        assert found.decode(found.encode(each.text)) == each.text
    assert found.vocab == len(vocab) + 10 and found.end_of_text == 2
    assert found.control_tokens == {"</s>": 2, **sentinels}
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<extra_id_0>": 9000}))
    with pytest.raises(UserError, match="gives '<extra_id_0>' the id 9000, but 516 comes next"):
        Tokenizer.load(tmp_path)


def test_the_fingerprint_is_of_what_decides_the_ids(tokenizer, gpt2_files, tmp_path):
    """Not of the file's layout; and another tokenizer has another one."""
    spec = json.loads(tokenizer._text)
    spec["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec, indent=4, sort_keys=True))
    assert Tokenizer.load(tmp_path).fingerprint == tokenizer.fingerprint
    assert Tokenizer.load(gpt2_files).fingerprint != tokenizer.fingerprint
    spec["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert Tokenizer.load(tmp_path).fingerprint != tokenizer.fingerprint


def test_settings_for_other_uses_are_put_aside(tokenizer, tmp_path):
    """A tokenizer.json may cut, pad and add marks; a training set wants none of it."""
    library = Library.from_str(tokenizer._text)
    library.enable_truncation(4)
    library.enable_padding(length=9)
    library.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.load(tmp_path).encode("a longer line of text") == tokenizer.encode("a longer line of text")


def test_an_end_of_text_that_is_an_ordinary_token(tokenizer, tmp_path):
    """Some files list it in the vocabulary alone, or as an added token that is not special: it must still not be spelled by text."""
    spec = json.loads(tokenizer._text)
    for added in ([], [{**spec["added_tokens"][0], "special": False}]):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**spec, "added_tokens": added}))
        loaded = Tokenizer.load(tmp_path)
        assert loaded.end_of_text == tokenizer.end_of_text
        assert loaded.end_of_text not in loaded.encode("a" + END_OF_TEXT + "b")


def test_other_kinds_of_tokenizer(tmp_path):
    """Not byte-level: sentencepiece-like pieces, with another name for the end."""
    library = Library(models.Unigram([("</s>", 0.0), ("▁", -2.0), ("▁hello", -1.0), ("▁world", -1.0), ("<unk>", -9.0)], 4))
    library.normalizer = normalizers.NFKC()
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    loaded = Tokenizer.load(tmp_path)
    assert loaded.decode(loaded.encode("hello world")) == "hello world"
    assert (loaded.end_of_text, loaded.vocab) == (0, 5)


def test_messages(tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"There is no tokenizer at '.*nowhere' \(No such file.*\n  Name a tokenizer.json, or a directory"):
        Tokenizer.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no tokenizer at .*tokenizer.json"):
        Tokenizer.load(tmp_path)
    for text, why in [
        ("{", "Expecting"),
        ("[]", "no model"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}}}', "no token that ends a document"),
    ]:
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(UserError, match=f"tokenizer.json is not a tokenizer: .*{why}(.|\n)*Fetch or train it again"):
            Tokenizer.load(tmp_path)
    with pytest.raises(UserError, match="A vocabulary of 256 is too small .*\n  Byte-level BPE needs at least 257"):
        train_tokenizer(["a"], 256)
    with pytest.raises(UserError, match="Token 512 is not in the tokenizer, whose ids end at 511"):
        tokenizer.decode([512])


def test_gpt2_files_that_do_not_fit_each_other(gpt2_files, tmp_path):
    for name, text in [("encoder.json", '{"a": 0}'), ("vocab.bpe", "#version\na b c\n")]:
        for other in ("encoder.json", "vocab.bpe"):
            (tmp_path / other).write_text((gpt2_files / other).read_text("utf-8"), "utf-8")
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="is not a tokenizer: .*vocab.bpe"):
            Tokenizer.load(tmp_path)
