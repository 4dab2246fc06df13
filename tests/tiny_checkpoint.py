"""A Hugging Face directory with a tokenizer, and text that it encodes. For the tests of train/ that start from a model."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from tenfold.tokens.tokenizer import END_OF_TEXT
from tenfold.train.recipe import LoraConfig, Recipe
from tiny_run import NAMES, tiny_recipe

GOLDEN = Path(__file__).parent / "golden" / "families"


def write_checkpoint(folder: Path, family: str = "llama_gqa") -> Path:
    """A golden model, and a tokenizer of fewer words than its vocabulary has rows."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / family / name, folder / name)
    words = {word: number for number, word in enumerate([END_OF_TEXT, "unknown", *NAMES])}
    tokenizer = Tokenizer(models.WordLevel(words, "unknown"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([END_OF_TEXT])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_text(folder: Path) -> Path:
    """60 documents of 40 words, each word often followed by the next of the list."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(60):
        steps = np.cumsum(random.choice([1, 3], 40, p=[0.8, 0.2])) + number
        (folder / f"{number}.txt").write_text(" ".join(NAMES[step % len(NAMES)] for step in steps))
    return folder


def tiny_finetune(start: Path, text: Path, *, lora: LoraConfig | None = None, **changes) -> Recipe:
    """`tiny_recipe` from a model, 32 tokens a row."""
    recipe = replace(tiny_recipe(text, **changes), start=str(start))
    return replace(recipe, lora=lora) if lora else recipe
