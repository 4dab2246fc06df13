"""The tokenizer inside a GGUF file as a tokenizer.json, and back.

Two kinds: byte-level BPE ("gpt2"), whose pre-tokenizer the file only names, and SentencePiece's BPE by scores ("llama"). The ids of plain
text are llama.cpp's (src/llama-vocab.cpp), also where the model's own tokenizer normalises first (Qwen's NFC) and llama.cpp does not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.convert.sentencepiece import merges_by_score
from tenfold.errors import UserError
from tenfold.tokens.tokenizer import ENDS, Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
ENDING = ("eos_token_id", "eot_token_id", "eom_token_id")
ENDING_NAMES = {
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>"),
    *("<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<｜end▁of▁sentence｜>"),
}
"""Tokens that llama.cpp takes for control tokens whatever their type says: Phi-3's </s>, for one."""

# The expressions that llama.cpp splits by. GPT-2's is built into the library's ByteLevel.
LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
ANY_CASE = ("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)")
"""llama.cpp's spelling, and the one in the models' own tokenizer.json; the latter takes U+017F for an s too."""


@dataclass(frozen=True)
class PreTokenizer:
    """How text is cut before the merges: into digits, by an expression (none is GPT-2's); and whether whole words come before merges."""

    digits: bool = False
    expression: str | None = None
    ignore_merges: bool = False


PRE = {
    "gpt-2": PreTokenizer(),
    "smollm": PreTokenizer(digits=True),
    "llama-bpe": PreTokenizer(expression=LLAMA3, ignore_merges=True),
    "dbrx": PreTokenizer(expression=LLAMA3),
    "qwen2": PreTokenizer(expression=QWEN2),
}
SAME = {
    "gpt-2": "phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum modern-bert roberta-bpe",
    "smollm": "starcoder refact command-r codeshell exaone minerva-7b mellum2",
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 glm4 glm5",
    "dbrx": "smaug-bpe chatglm-bpe",
    "qwen2": "deepseek-r1-qwen kormo stablelm2 megrez hunyuan solar-open",
}
NAMES = {alias: PRE[name] for name, aliases in SAME.items() for alias in aliases.split()} | PRE
"""Every name of a pre-tokenizer that we know."""


def tokenizer_json(metadata: Mapping[str, Any]) -> str:
    """The text of a tokenizer.json, for `Tokenizer(text)`, from the metadata of a GGUF file.

    Raises UserError naming the key where the file has no tokenizer, or one of a kind that we do not make.
    """
    model = metadata.get("tokenizer.ggml.model")
    if model not in ("gpt2", "llama"):
        raise UserError(
            f"tokenizer.ggml.model is {model!r}, and Tenfold reads 'gpt2' (byte-level BPE) and 'llama' (SentencePiece).\n"
            "  Bring the model's tokenizer.json."
        )
    tokens = _list(metadata, "tokens", str)
    if len(set(tokens)) != len(tokens):
        raise UserError("tokenizer.ggml.tokens has a token twice: the file is damaged.\n  Fetch or make it again.")
    types = _list(metadata, "token_type", int, len(tokens)) if "tokenizer.ggml.token_type" in metadata else [NORMAL] * len(tokens)
    endings = {metadata.get(f"tokenizer.ggml.{key}") for key in ENDING}
    types = [CONTROL if id in endings or tokens[id] in ENDING_NAMES else type for id, type in enumerate(types)]
    make = _byte_level if model == "gpt2" else _sentencepiece
    spec = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": _added(tokens, types), "post_processor": None}
    text = json.dumps(spec | make(metadata, tokens, types), ensure_ascii=False)
    _check(text, tokens)
    return text


def tokenizer_metadata(tokenizer_json: str, vocab: int | None = None, chat_template: str | None = None) -> dict[str, Any]:
    """The tokenizer.ggml.* keys for a byte-level BPE tokenizer.json, as `write_gguf` takes them.

    `vocab` is the number of rows of the model's embedding, where it has more rows than there are tokens: llama.cpp wants a token a row.
    No text begins with a control token, as in Tenfold: add_bos_token is false. Raises UserError for a tokenizer that llama.cpp cannot be.
    """
    spec = json.loads(tokenizer_json)
    tokenizer = Tokenizer(tokenizer_json)
    model = spec["model"]
    if model.get("type") not in ("BPE", None) or model.get("byte_fallback") or '"ByteLevel"' not in json.dumps(spec.get("decoder")):
        raise UserError("The tokenizer is not byte-level BPE, and only such are written to GGUF.\n  Export to safetensors instead.")
    pre = _pre_name(spec)
    added = {token["id"]: token for token in spec.get("added_tokens") or []}
    texts = {id: token for token, id in model["vocab"].items()} | {id: token["content"] for id, token in added.items()}
    rows = max(tokenizer.vocab, vocab or 0)
    kinds = [_type(id, texts, added, tokenizer.end_of_text) for id in range(rows)]
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    keys = {
        "model": "gpt2",
        "pre": pre,
        "tokens": [texts.get(id, f"[PAD{id}]") for id in range(rows)],  # the name that llama.cpp's own converter gives
        "token_type": kinds,
        "merges": pairs,
        "bos_token_id": tokenizer.end_of_text,
        "eos_token_id": tokenizer.end_of_text,
        "add_bos_token": False,
        "add_space_prefix": False,
    }
    chat = {} if chat_template is None else {"tokenizer.chat_template": chat_template}
    return {f"tokenizer.ggml.{key}": value for key, value in keys.items()} | chat


def chat_template(metadata: Mapping[str, Any]) -> str | None:
    """The Jinja template that makes a prompt of messages, if the file has one."""
    template = metadata.get("tokenizer.chat_template")
    return template if isinstance(template, str) else None


def _list(metadata: Mapping[str, Any], key: str, kind: type, length: int | None = None) -> list:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise UserError(f"tokenizer.ggml.{key} is not in the file as a list of {kind.__name__}.\n  Fetch or make the file again.")
    if length is not None and len(values) != length:
        raise UserError(f"tokenizer.ggml.{key} has {len(values)} values for {length} tokens.\n  Fetch or make the file again.")
    return values


def _added(tokens: list[str], types: list[int]) -> list[dict]:
    """Tokens that are no text (special), and tokens that are found whole in any text (user-defined)."""
    kind = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return [
        {"id": id, "content": token, **kind, "special": type != USER_DEFINED}
        for id, (token, type) in enumerate(zip(tokens, types, strict=True))
        if type in (UNKNOWN, CONTROL, USER_DEFINED) and token
    ]


def _byte_level(metadata: Mapping[str, Any], tokens: list[str], types: list[int]) -> dict:
    name = metadata.get("tokenizer.ggml.pre")
    if name not in NAMES:
        raise UserError(
            f"tokenizer.ggml.pre is {name!r}, a way to cut text that Tenfold does not know. It knows {', '.join(NAMES)}.\n"
            "  Bring the model's tokenizer.json."
        )
    pre = NAMES[name]
    # As llama.cpp: the first space after the first letter parts the two.
    pairs = [[merge[:at], merge[at + 1 :]] for merge in _list(metadata, "merges", str) if (at := merge.find(" ", 1)) > 0]
    return {
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(pre),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": _bpe(tokens, pairs) | {"ignore_merges": pre.ignore_merges},
    }


def _pre_tokenizer(pre: PreTokenizer) -> dict:
    cut = []
    if pre.digits:
        cut.append({"type": "Digits", "individual_digits": True})
    if pre.expression:
        cut.append({"type": "Split", "pattern": {"Regex": pre.expression}, "behavior": "Isolated", "invert": False})
    cut.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pre.expression is None})
    return cut[0] if len(cut) == 1 else {"type": "Sequence", "pretokenizers": cut}


def _sentencepiece(metadata: Mapping[str, Any], tokens: list[str], types: list[int]) -> dict:
    scores = _list(metadata, "scores", float, len(tokens))
    # Control tokens are no text, so no merge may lead to them; bytes are for what has no token.
    targets = [id for id, type in enumerate(types) if type not in (UNKNOWN, CONTROL, BYTE)]
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    prepend = [{"type": "Prepend", "prepend": "▁"}] if prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    unknown = next((token for token, type in zip(tokens, types, strict=True) if type == UNKNOWN), None)
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, spaces]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]},
        "model": _bpe(tokens, merges_by_score(tokens, scores, targets)) | {"unk_token": unknown, "fuse_unk": True, "byte_fallback": True},
    }


def _bpe(tokens: list[str], merges: list[list[str]]) -> dict:
    vocab = {token: id for id, token in enumerate(tokens)}
    none = {"dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    return {"type": "BPE", **none, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges}


def _check(text: str, tokens: list[str]) -> None:
    if not any(end in tokens for end in ENDS):
        raise UserError(
            f"The tokenizer of the file has no token that ends a document (one of {', '.join(ENDS)}).\n  Bring its tokenizer.json."
        )
    try:
        Tokenizer(text)
    except ValueError as error:
        raise UserError(f"The tokenizer of the file does not hold together: {error}\n  Fetch or make the file again.") from error


def _type(id: int, texts: dict[int, str], added: dict[int, dict], end: int) -> int:
    if id not in texts:
        return UNUSED
    if id in added:
        return CONTROL if added[id]["special"] or id == end else USER_DEFINED
    return CONTROL if id == end else NORMAL


def _pre_name(spec: dict) -> str:
    """The name that llama.cpp has for a tokenizer's way of cutting text. Raises UserError where it has none."""
    try:
        cut = _cut_of(spec)
    except (KeyError, TypeError):
        cut = None
    for name, pre in PRE.items():
        if pre == cut:
            return name
    raise UserError(
        f"The tokenizer cuts text in a way that llama.cpp has no name for: {json.dumps(spec.get('pre_tokenizer'))[:200]}, "
        f"normalizer {json.dumps(spec.get('normalizer'))[:60]}.\n  Export to safetensors instead."
    )


def _cut_of(spec: dict) -> PreTokenizer | None:
    whole = spec["pre_tokenizer"]
    parts = list(whole["pretokenizers"]) if whole["type"] == "Sequence" else [whole]
    last = parts.pop()
    normalizer = spec.get("normalizer")
    if last["type"] != "ByteLevel" or last["add_prefix_space"] or (normalizer and normalizer != {"type": "NFC"}):
        return None  # NFC passes: llama.cpp's own converter drops it too
    digits = bool(parts) and parts[0] == {"type": "Digits", "individual_digits": True}
    parts = parts[digits:]
    expression = None
    if parts and parts[0]["type"] == "Split" and parts[0]["behavior"] == "Isolated" and not parts[0].get("invert"):
        expression = parts.pop(0)["pattern"]["Regex"].replace(ANY_CASE[1], ANY_CASE[0])
    if parts or last.get("use_regex", True) != (expression is None):
        return None
    return PreTokenizer(digits, expression, bool(spec["model"].get("ignore_merges")))
