"""What was written is what is read, from any place to any place; what is damaged is named."""

import json
import shutil
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.documents import Document, document_id
from tenfold.errors import UserError
from tenfold.tokens.shards import Shards, is_shards, write_shards


def document(text: str, source: str = "a") -> Document:
    return Document(document_id(text), text, source)


@pytest.fixture(scope="module")
def stream(documents, tokenizer):
    """(ids, document numbers) of the whole, made the plain way."""
    encoded = [[*tokenizer.encode(each.text), tokenizer.end_of_text] for each in documents]
    return np.concatenate(encoded), np.repeat(np.arange(len(encoded)), [len(ids) for ids in encoded])


def test_the_stream_is_the_documents_in_order(shards, stream, documents):
    ids, numbers = shards.window(0, shards.tokens)
    assert ids.dtype == numbers.dtype == np.int32
    np.testing.assert_array_equal(ids, stream[0])
    np.testing.assert_array_equal(numbers, stream[1])
    assert shards.bytes == sum(len(each.text.encode()) for each in documents)


@given(st.data())
def test_any_window_is_that_part_of_the_stream(shards, stream, data):
    start = data.draw(st.integers(0, shards.tokens - 1))
    length = data.draw(st.integers(1, shards.tokens - start))
    for found, due in zip(shards.window(start, length), stream, strict=True):
        np.testing.assert_array_equal(found, due[start : start + length])


def test_every_document_is_found_again(shards, documents, tokenizer):
    for index, each in enumerate(documents):
        record = shards.document(index)
        ids, numbers = shards.window(record["start"], record["tokens"])
        assert (record["id"], record["source"], record["bytes"]) == (each.id, each.source, len(each.text.encode()))
        assert tokenizer.decode(ids[:-1]) == each.text and ids[-1] == tokenizer.end_of_text
        assert (numbers == index).all()


@pytest.mark.parametrize("place", [(-1, 5), (0, 0), (0, 10**9)])
def test_outside_the_stream(shards, place):
    with pytest.raises(IndexError):
        shards.window(*place)
    with pytest.raises(IndexError):
        shards.document(shards.documents)


@given(st.lists(st.text(st.sampled_from("ab \n"), min_size=1, max_size=8), min_size=1, max_size=12), st.integers(1, 20))
def test_any_documents_in_shards_of_any_size(tokenizer, tmp_path_factory, texts, shard_tokens):
    """However small the shards are, no document is cut and none is lost."""
    place = tmp_path_factory.mktemp("small") / "out"
    found = Shards.open(write_shards([document(text) for text in texts], tokenizer, place, shard_tokens))
    ids, numbers = found.window(0, found.tokens)
    assert [tokenizer.decode(ids[numbers == n][:-1]) for n in range(found.documents)] == texts
    found.verify()


def test_wide_ids_need_wide_files(tokenizer, tmp_path):
    """A vocabulary above 65,536 is written as uint32."""

    class Wide:
        vocab, end_of_text, fingerprint = 100_000, 99_999, "f"

        def encode_batch(self, texts):
            return [[70_000 + ord(letter) for letter in text] for text in texts]

        def save(self, directory):
            return tokenizer.save(directory)

    found = Shards.open(write_shards([document("ab")], Wide(), tmp_path / "wide"))
    assert found.window(0, 3)[0].tolist() == [70_097, 70_098, 99_999]
    assert json.loads((tmp_path / "wide" / "tokens.json").read_text())["dtype"] == "uint32"


def test_the_same_documents_give_the_same_bytes(documents, tokenizer, tmp_path, shards):
    again = Shards.open(write_shards(iter(documents), tokenizer, tmp_path / "again", shard_tokens=30_000))
    assert again.sha256 == shards.sha256
    for file in shards.directory.iterdir():
        assert file.read_bytes() == (again.directory / file.name).read_bytes()


class Interruption(BaseException):
    pass


def interrupted(documents):
    yield from documents[:-1]
    raise Interruption


def test_an_interruption_leaves_nothing_and_a_second_try_completes(documents, tokenizer, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Interruption):
        write_shards(interrupted(documents), tokenizer, out, shard_tokens=30_000)
    assert list(tmp_path.iterdir()) == []
    write_shards(documents, tokenizer, out)
    assert Shards.open(out).documents == len(documents)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interruption_leaves_what_was_there(documents, tokenizer, tmp_path):
    out = write_shards(documents[:2], tokenizer, tmp_path / "out")
    with pytest.raises(Interruption):
        write_shards(interrupted(documents), tokenizer, out)
    assert Shards.open(out).documents == 2


def test_a_killed_writer_leaves_no_shards(tmp_path, run_python):
    """No `finally` runs on kill -9; the directory must still not pass for whole, and a second try must do."""
    code = """
        import os, signal, sys
        from tenfold.corpus.documents import Document
        from tenfold.tokens.shards import write_shards
        from tenfold.tokens.tokenizer import train_tokenizer
        def documents():
            for n in range(600):
                if n == 599 and sys.argv[1] == "kill": os.kill(os.getpid(), signal.SIGKILL)
                yield Document(f"{n:016x}", f"text {n}", "a")
        write_shards(documents(), train_tokenizer(["text"], 300), "out", shard_tokens=100)
    """
    (tmp_path / "write.py").write_text(textwrap.dedent(code))
    with pytest.raises(pytest.fail.Exception, match="ended with -9"):
        run_python(tmp_path / "write.py", "kill", cwd=tmp_path)
    assert not is_shards(tmp_path / "out") and (tmp_path / ".out.partial").exists()
    run_python(tmp_path / "write.py", "finish", cwd=tmp_path)
    assert Shards.open(tmp_path / "out").documents == 600
    assert not (tmp_path / ".out.partial").exists()


def test_other_peoples_files_are_not_replaced(documents, tokenizer, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UserError, match="is there already and holds no token shards.\n  Name an empty place"):
            write_shards(documents, tokenizer, place)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_no_documents(tokenizer, tmp_path):
    with pytest.raises(UserError, match="There are no documents to write into .*out.\n  Name more text"):
        write_shards([], tokenizer, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_whose_end_can_be_spelled_is_refused(tokenizer, tmp_path):
    class Spelled:
        vocab, end_of_text, fingerprint = 10, 3, "f"

        def encode_batch(self, texts):
            return [[1, 3, 2] for _ in texts]

    with pytest.raises(UserError, match="makes its end of text, id 3, from the words of story.txt"):
        write_shards([document("x", "story.txt")], Spelled(), tmp_path / "out")


@pytest.fixture
def copy(shards, tmp_path):
    return shutil.copytree(shards.directory, tmp_path / "copy")


@pytest.mark.parametrize("name", ["00001.bin", "00001.docs.npy", "00001.ids.jsonl"])
def test_damage_is_named(copy, name):
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        UserError, match=rf"{name} has sha256 .* but tokens.json beside it says .*: it is damaged.\n  Write the shards again"
    ):
        Shards.open(copy).verify()
    path.write_bytes(data[:-2])
    with pytest.raises(UserError, match=rf"{name} has {len(data) - 2} bytes but tokens.json beside it says {len(data)}"):
        Shards.open(copy)
    path.unlink()
    with pytest.raises(UserError, match=rf"{name} is missing, though tokens.json beside it names it"):
        Shards.open(copy)


def test_an_array_of_the_wrong_kind_is_named(copy):
    path = copy / "00000.docs.npy"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(UserError, match="00000.docs.npy is not an array of document starts"):
        Shards.open(copy).window(0, 5)


def edited(**changes):
    def edit(index):
        index.update(changes)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        edited(version=9),
        edited(dtype="float16"),
        edited(tokens=5),
        edited(documents=-1),
        edited(bytes="many"),
        edited(vocab=None),
        edited(tokenizer=None),
        edited(shards=[]),
        lambda index: index["shards"].pop(),
        lambda index: index["shards"][0].pop("sha256"),
        lambda index: index["shards"][0]["sizes"].update({"00000.bin": 7}),
        lambda index: index.clear(),
    ],
)
def test_an_index_that_does_not_add_up(copy, edit):
    index = json.loads((copy / "tokens.json").read_text())
    edit(index)
    (copy / "tokens.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="tokens.json is (damaged|of version 9)"):
        Shards.open(copy)


@given(st.binary(max_size=60))
def test_any_bytes_as_an_index(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("index")
    (place / "tokens.json").write_bytes(data)
    with pytest.raises(UserError, match="tokens.json is damaged"):
        Shards.open(place)


def test_not_shards(tmp_path):
    with pytest.raises(UserError, match="holds no token shards: it has no tokens.json.\n  Name a directory"):
        Shards.open(tmp_path)


def test_ids_of_all_documents(shards, documents):
    assert shards.document_ids() == {each.id for each in documents}
