"""Items of our tasks in the form that lm-evaluation-harness's own task files read, so that both are asked about the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenfold.evaluate.prompts import examples, limited
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
    """The items that our task asks under these settings, a line each, as the harness's task file reads them."""
    _, row = TASKS[name]
    task = read_task(name)
    raw = items((replace(first_found(task.test, settings.data)[0], fields={}),), settings.data) if name in RAW else []
    found = limited(examples(task, settings.data), settings.limit, settings.seed)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row(raw[int(example.id.split("/")[1])] if raw else example.item)) + "\n" for example in found))
