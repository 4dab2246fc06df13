"""What both sides of align.py do: the sizes, the texts and the reward. Needs the standard library alone.

A word is a token: `w17` is token 17 + 2, beside the end of a text and padding, so that both sides read rows of exactly the same tokens.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

END, PAD = "<|endoftext|>", "<|pad|>"


@dataclass(frozen=True)
class Sizes:
    """Of the model, GPT-2's in form, and of a step."""

    layers: int = 4
    embed: int = 256
    heads: int = 4
    vocab: int = 4096
    prompt: int = 32
    """Tokens."""
    row: int = 128
    """Tokens of a prompt and its answer in SFT and DPO, the end among them; the model's context."""
    rows: int = 16
    """Of a step of SFT; in DPO two make a pair."""
    new: int = 64
    """Tokens of a completion."""
    completions: int = 32
    """Of a step of GRPO and PPO."""
    group: int = 8
    """Completions of a prompt, in GRPO."""
    ppo_epochs: int = 4
    lines: int = 512
    """Of each file of texts; their order starts anew at the end."""

    def of_a_step(self, method: str) -> int:
        """Tokens of a step of SFT and DPO, completions of one of GRPO and PPO."""
        return self.rows * self.row if method in ("sft", "dpo") else self.completions


def write_tokenizer(folder: Path, vocab: int) -> None:
    """tokenizer.json, which both sides read."""
    words = {END: 0, PAD: 1} | {f"w{number}": number + 2 for number in range(vocab - 2)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": words[name], "content": name} | flags for name in (END, PAD)]
    split = {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Removed", "invert": False}
    model = {"type": "WordLevel", "vocab": words, "unk_token": PAD}
    spec = {"version": "1.0", "added_tokens": added, "pre_tokenizer": split, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(spec))


def write_texts(folder: Path, sizes: Sizes) -> None:
    """sft.jsonl, dpo.jsonl and prompts.jsonl: random words, each line as long as the others."""
    drawn = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"w{drawn.randrange(sizes.vocab - 2)}" for _ in range(count))

    answer = sizes.row - sizes.prompt - 1
    fields = {"sft": {"completion": answer}, "dpo": {"chosen": answer, "rejected": answer}, "prompts": {}}
    for name, more in fields.items():
        with (folder / f"{name}.jsonl").open("w") as file:
            for _ in range(sizes.lines):
                line = {"prompt": words(sizes.prompt)} | {field: words(count) for field, count in more.items()}
                file.write(json.dumps(line) + "\n")


def even_words(prompts: Sequence[str], completions: Sequence[str], **_) -> list[float]:
    """The reward: the share of a completion's words whose number is even. The other library hands over more by name."""
    return [sum(word[-1] in "02468" for word in text.split()) / max(len(text.split()), 1) for text in completions]
