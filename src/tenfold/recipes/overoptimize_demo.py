"""The demo of over-optimisation: a small model of Python's standard library, and a gold reward that is easily taken for a simpler one."""

import json
import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tenfold.align.overoptimize_config import BestOf, Comparisons, FitConfig, OveroptimizeRecipe, Proxies, Rl
from tenfold.align.policy_config import RewardConfig, RolloutConfig
from tenfold.corpus.files import write_atomically
from tenfold.model.config import ModelConfig
from tenfold.tokens.config import DataConfig
from tenfold.train.recipe import OptimizerConfig, Recipe, TrainConfig

HEADS = ("def ", "class ", "for ", "if ", "return ", "self.")
NAMES = ("read", "name", "value", "line", "file", "data", "text", "item")
WORD = re.compile(r"[A-Za-z]{3,}")
BEST = 6
"""Different words of a completion that are worth most."""


def gold(prompts: list[str], completions: list[str]) -> list[float]:
    """Different words are good up to BEST of them, and bad beyond; a word said again is bad.

    Few completions of a small model have so many, so that pairs mostly say: more words. A proxy that has learned no more is wrong where it
    is pushed to.
    """
    found = []
    for text in completions:
        words = WORD.findall(text)
        different = len(set(words))
        found.append(-0.25 * (different - BEST) ** 2 - (len(words) - different))
    return found


def demo() -> OveroptimizeRecipe:
    """Six proxies, of three sizes on two amounts of pairs, and a policy of 180 thousand parameters against each."""
    return OveroptimizeRecipe(
        "start",
        ("prompts.jsonl",),
        gold=RewardConfig((f"{__name__}:{gold.__name__}",)),
        rollout=RolloutConfig(completions=8, max_tokens=24),
        comparisons=Comparisons((250, 2000), noise=0.1, held_out=512),
        proxies=Proxies(("1x16", "1x64", "3x64"), epochs=4.0, batch=32, learning_rate=1e-3),
        best_of=BestOf(1024),
        rl=Rl(steps=80, batch=64, learning_rate=1e-4, every=4, samples=32),
        fit=FitConfig(until=5.0),
    )


def placed(recipe: OveroptimizeRecipe, out: Path) -> OveroptimizeRecipe:
    """With its start and its prompts in `out`."""
    return replace(recipe, start=str(out / "start"), data=(str(out / "prompts.jsonl"),))


def start_recipe() -> Recipe:
    """The policy before it is optimised: two minutes of one core."""
    return Recipe(
        "start",
        "A small model of GPT-3's shape; the learning rate is higher than in table 2.1, as smaller models bear.",
        model=ModelConfig(vocab=512, context=64, layers=3, embed=64, heads=4, dtype="float32"),
        data=DataConfig(paths=("stdlib",)),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_tokens=50_000),
        train=TrainConfig(steps=800, batch=32, log_every=20, evaluate_every=400, prompts=(), tensorboard=False),
    )


def prepare_demo(out: Path, console: Console) -> bool:
    """Trains the start and writes the prompts, where they are not there; False where it was stopped."""
    from tenfold.recipes.show import Display
    from tenfold.train.train import train

    path = out / "start"
    lines = [json.dumps({"prompt": head + name}) + "\n" for head in HEADS for name in NAMES]
    write_atomically(out / "prompts.jsonl", "".join(lines))
    if (path / "result.json").exists() and json.loads((path / "result.json").read_text()).get("finished"):
        return True
    console.print("The start: a small model of Python's standard library.")
    with Display(path, console) as display:
        return bool(train(start_recipe(), path, display).result.get("finished"))
