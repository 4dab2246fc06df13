"""Text to token ids and back, exactly.

Tokenizers are Hugging Face's (`tokenizers`, in Rust); new ones are byte-level BPE as GPT-2's (Radford et al. 2019, section 2.2), for
which decode(encode(text)) is the text, whatever it is. Text is only ever text here: "<|endoftext|>" written in a document is encoded
letter by letter, and the control id comes from `end_of_text` alone.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError

END_OF_TEXT = "<|endoftext|>"
ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[EOS]")
TWO_FILES = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
"""Byte-level BPE as tokens with their ids and as merges: GPT-2's own names, and those that transformers gives them."""
FILES = ("tokenizer.json", *(name for names in TWO_FILES for name in names), "added_tokens.json")
"""All that a directory's tokenizer is read from."""
SMALLEST_VOCAB = 257  # every byte, and the end of text
LEAST_COUNT = 2  # a pair seen once is not worth a token


class Tokenizer:
    """A tokenizer that encodes plain text only. Made by `Tokenizer.load` and `train_tokenizer`."""

    def __init__(self, text: str):
        """From the text of a tokenizer.json. Raises ValueError where it is not one."""
        import tokenizers

        self._spec = _with_special_end(json.loads(text))
        self._text = json.dumps(self._spec, ensure_ascii=False)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(self._text)
        except Exception as error:  # the library raises Exception itself
            raise ValueError(str(error)) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # "special" here means: found in text and turned into ids
        self.vocab: int = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())
        """The largest id + 1: the fewest rows an embedding needs."""
        self.end_of_text: int = self._tokenizer.get_vocab(with_added_tokens=True)[_end_token(self._spec)]
        """The id that follows every document."""

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """A tokenizer.json, or a directory with one, with GPT-2's encoder.json and vocab.bpe or with CodeT5's vocab.json and merges.txt.

        Raises UserError naming the file where it is missing or not a tokenizer.
        """
        path = Path(path).expanduser()
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            if not file.exists() and (names := _two_files(path)):
                return cls(_gpt2_json(path, *names))
            return cls(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"There is no tokenizer at {str(path)!r} ({error.strerror}: {error.filename}).\n"
                "  Name a tokenizer.json, or a directory with one, with encoder.json and vocab.bpe or with vocab.json and merges.txt."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file} is not a tokenizer: {error}\n  Fetch or train it again.") from error

    @cached_property
    def control_tokens(self) -> dict[str, int]:
        """The tokens that no text is encoded to, and their ids; the end of text is one."""
        return {token["content"]: token["id"] for token in self._spec["added_tokens"] if token["special"]}

    def encode(self, text: str) -> list[int]:
        """The ids of a text; no control ids among them."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_controlled(self, text: str) -> list[int]:
        """The ids of a text in which the names of control tokens are these tokens: a template's, never a person's."""
        return self._controlled.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """The ids of many texts, encoded on all cores."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Bytes that are not UTF-8, such as half a character, become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of ids: for byte-level tokenizers, decode_bytes(a + b) is decode_bytes(a) + decode_bytes(b).

        Raises UserError for an id that the tokenizer has not got.
        """
        ids = [int(id) for id in ids]
        if not self.byte_level:
            return self._tokenizer.decode(ids, skip_special_tokens=False).encode("utf-8")
        try:
            return b"".join([self._bytes_of[id] for id in ids])
        except KeyError as error:
            raise UserError(f"Token {error} is not in the tokenizer, whose ids end at {self.vocab - 1}.") from None

    @property
    def json(self) -> str:
        """The text of its tokenizer.json."""
        return self._text

    def save(self, directory: str | Path) -> Path:
        """Writes directory/tokenizer.json, whole or not at all."""
        return write_atomically(Path(directory) / "tokenizer.json", self._text)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of what decides the ids of a text; the same for a tokenizer in another layout of file."""
        return hashlib.blake2b(json.dumps(_essence(self._spec), sort_keys=True).encode(), digest_size=8).hexdigest()

    @cached_property
    def _controlled(self):
        """The library's tokenizer, to which names of control tokens are these tokens."""
        import tokenizers

        found = tokenizers.Tokenizer.from_str(self._text)
        found.no_truncation()
        found.no_padding()
        return found

    @cached_property
    def byte_level(self) -> bool:
        """Whether tokens are bytes, so that parts of a text join to the whole. SentencePiece's put a space before each text."""
        return '"ByteLevel"' in json.dumps(self._spec.get("decoder"))

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        byte_of = {letter: byte for byte, letter in enumerate(_byte_letters())}
        added = {token["id"]: token["content"].encode() for token in self._spec["added_tokens"]}
        vocab = self._tokenizer.get_vocab(with_added_tokens=False)
        return {id: bytes(byte_of[letter] for letter in token) for token, id in vocab.items() if id not in added} | added


def train_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """Byte-level BPE of at most `vocab` tokens, "<|endoftext|>" among them as id 0; the same texts give the same tokenizer.

    Raises UserError where `vocab` is too small to hold every byte.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    if vocab < SMALLEST_VOCAB:
        raise UserError(
            f"A vocabulary of {vocab} is too small to train a tokenizer for.\n  Byte-level BPE needs at least {SMALLEST_VOCAB}."
        )
    made = Library(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=_byte_letters(),
        min_frequency=LEAST_COUNT,
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return Tokenizer(made.to_str())


def has_tokenizer(directory: Path) -> bool:
    """Whether a directory has files that `Tokenizer.load` reads."""
    return (directory / "tokenizer.json").exists() or _two_files(directory) is not None


def _two_files(directory: Path) -> tuple[str, str] | None:
    return next((names for names in TWO_FILES if (directory / names[0]).exists()), None)


def _gpt2_json(directory: Path, tokens_file: str, merges_file: str) -> str:
    """The tokenizer.json of two files as GPT-2's, and of the tokens that an added_tokens.json adds to them."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    vocab = json.loads((directory / tokens_file).read_text(encoding="utf-8"))
    lines = (directory / merges_file).read_text(encoding="utf-8").split("\n")
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    if len(merges) != len(pairs):
        raise ValueError(f"{merges_file} has lines that are not pairs")
    try:
        made = Library(models.BPE(vocab, merges))
    except Exception as error:  # the library raises Exception itself
        raise ValueError(f"{tokens_file} and {merges_file} do not fit each other: {error}") from error
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    more = directory / "added_tokens.json"
    added: dict[str, int] = json.loads(more.read_text(encoding="utf-8")) if more.exists() else {}
    end = next((end for end in ENDS if end in vocab), END_OF_TEXT)
    made.add_special_tokens([*sorted(added, key=added.__getitem__), end])
    if wrong := [token for token, id in added.items() if made.token_to_id(token) != id]:
        raise ValueError(f"{more.name} gives {wrong[0]!r} the id {added[wrong[0]]}, but {made.token_to_id(wrong[0])} comes next")
    return made.to_str()


def _vocab(spec: dict) -> dict[str, int]:
    vocab = spec["model"]["vocab"]
    return {token: id for id, (token, _) in enumerate(vocab)} if isinstance(vocab, list) else vocab  # a list in Unigram models


def _end_token(spec: dict) -> str:
    contents = {token["content"] for token in spec["added_tokens"]} | set(_vocab(spec))
    for end in ENDS:
        if end in contents:
            return end
    raise ValueError(f"it has no token that ends a document (one of {', '.join(ENDS)})")


def _with_special_end(spec: dict) -> dict:
    """The tokenizer with its end-of-text marked special, so that the text of it is never taken for it."""
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict) or "vocab" not in spec["model"]:
        raise ValueError("it has no model with a vocabulary")
    spec = {**spec, "added_tokens": [dict(token) for token in spec.get("added_tokens") or []]}
    end = _end_token(spec)
    if end not in {token["content"] for token in spec["added_tokens"]}:
        id = _vocab(spec)[end]
        kind = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        spec["added_tokens"].append({"id": id, "content": end, **kind, "special": True})
        spec["added_tokens"].sort(key=lambda token: token["id"])
    for token in spec["added_tokens"]:
        token["special"] = token["special"] or token["content"] == end
    return spec


def _essence(spec: dict) -> dict:
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in spec["model"].get("merges", [])]
    return {
        "vocab": spec["model"]["vocab"],
        "merges": merges,
        "added": [[token["id"], token["content"], token["special"]] for token in spec["added_tokens"]],
        "normalizer": spec.get("normalizer"),
        "pre_tokenizer": _without(spec.get("pre_tokenizer"), "trim_offsets"),
    }


def _without(value, key: str):
    if isinstance(value, dict):
        return {name: _without(each, key) for name, each in value.items() if name != key}
    return [_without(each, key) for each in value] if isinstance(value, list) else value


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte in a byte-level vocabulary. Source: bytes_to_unicode in GPT-2's encoder.py."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
