"""Items of our tasks in the form that lm-evaluation-harness's own task files read, so that both are asked about the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenfold.evaluate.loaded import load
from tenfold.evaluate.run import prompted
from tenfold.evaluate.settings import EvalSettings
from tenfold.evaluate.sources import first_found, items
from tenfold.evaluate.task import read_task


def some(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda item: {name: item[name] for name in names}


def lettered(question: str, theirs: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Choices as AI2's sets have them."""

    def row(item: dict[str, Any]) -> dict[str, Any]:
        letters = "ABCDE"[: len(item["choices"])]
        return {theirs: item[question], "choices": {"text": item["choices"], "label": list(letters)}, "answerKey": letters[item["label"]]}

    return row


# Our task, theirs, and an item as their task file reads it.
TASKS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "lambada": ("lambada_openai", lambda item: {"text": f"{item['passage']} {item['word']}"}),
    "hellaswag": ("hellaswag", some("ctx_a", "ctx_b", "activity_label", "endings", "label")),
    "piqa": ("piqa", some("goal", "sol1", "sol2", "label")),
    "arc_easy": ("arc_easy", lettered("question", "question")),
    "arc_challenge": ("arc_challenge", lettered("question", "question")),
    "openbookqa": ("openbookqa", lettered("stem", "question_stem")),
    "winogrande": ("winogrande", some("sentence", "option1", "option2", "answer")),
    "boolq": ("boolq", some("passage", "question", "label")),
    "arithmetic_2da": ("arithmetic_2da", some("context", "completion")),
}
RAW = ("hellaswag",)  # whose text both must clean: their task file gets what ours is made from
PAIRS = {"acc": ("sum", "accuracy"), "acc_norm": ("char",), "perplexity": ("perplexity",)}
"""The harness's metrics, and the names that ours go by."""


def write_rows(name: str, settings: EvalSettings, folder: Path) -> None:
    """The items that our task asks under these settings, a line each, as the harness's task file reads them. What stands before an item,
    the examples that are shown, is in "before"; LAMBADA's, whose form changes with examples, is in its text."""
    _, row = TASKS[name]
    each = load(read_task(name), settings)
    raw = items((replace(first_found(each.task.test, settings.data)[0], fields={}),), settings.data) if name in RAW else []
    lines = []
    for example, asks, alone in zip(each.test, prompted(each, each.counts[0])[0], prompted(each, 0)[0], strict=True):
        asked, bare = asks.scored[0], alone.scored[0]
        made = row(raw[int(example.id.split("/")[1])] if raw else example.item)
        if "text" in made:
            made |= {"text": asked.context + asked.text, "before": ""}
        else:
            made["before"] = asked.context.removesuffix(bare.context)
        lines.append(json.dumps(made) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines))
