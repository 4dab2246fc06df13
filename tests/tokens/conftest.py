"""Small real data for the tests of this room: pieces of Python's own library, a tokenizer for them, and shards."""

import json
from pathlib import Path

import pytest

from tenfold.corpus.documents import Document, read_documents
from tenfold.tokens.shards import Shards, write_shards
from tenfold.tokens.tokenizer import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """60 files of the json, email and html packages and the like: a few hundred kB."""
    found = (each for each in read_documents("stdlib", max_bytes=20_000) if isinstance(each, Document))
    return [each for each, _ in zip(found, range(60), strict=False)]


@pytest.fixture(scope="session")
def tokenizer(documents) -> Tokenizer:
    return train_tokenizer([each.text for each in documents], 512)


@pytest.fixture(scope="session")
def shards(documents, tokenizer, tmp_path_factory) -> Shards:
    """In several files, so that windows cross from one to the next."""
    found = Shards.open(write_shards(documents, tokenizer, tmp_path_factory.mktemp("shards") / "all", shard_tokens=30_000))
    assert len(list(found.directory.glob("*.bin"))) > 3
    return found


@pytest.fixture(scope="session")
def sources(documents, tokenizer, tmp_path_factory) -> list[Shards]:
    """Three of different lengths."""
    place = tmp_path_factory.mktemp("sources")
    parts = {"large": documents[:30], "middle": documents[30:40], "small": documents[40:43]}
    return [Shards.open(write_shards(part, tokenizer, place / name)) for name, part in parts.items()]


@pytest.fixture(scope="session")
def gpt2_files(tokenizer, tmp_path_factory) -> Path:
    """The tokenizer in GPT-2's layout: encoder.json with the end of text last, and vocab.bpe."""
    spec = json.loads(tokenizer._text)["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in spec["merges"]]
    ordinary = [token for token in spec["vocab"] if token != "<|endoftext|>"]
    folder = tmp_path_factory.mktemp("gpt2")
    encoder = {token: id for id, token in enumerate([*ordinary, "<|endoftext|>"])}
    (folder / "encoder.json").write_text(json.dumps(encoder))
    (folder / "vocab.bpe").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    return folder
