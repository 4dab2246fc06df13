"""Results of an evaluation as one HTML page: every score with its rule named, its error and interval, the prompts, some items.

Reads the NAME.json and NAME.jsonl of `tenfold eval` alone. Items are somebody's text and answers a model's: the template escapes them.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tenfold.errors import UserError
from tenfold.report.gpt3_scores import beside
from tenfold.report.page import template, write_page
from tenfold.report.plots import number
from tenfold.report.tables import duration

RULES = ("sum", "token", "byte", "char", "answer", "empty")
SHARES = (*RULES, "accuracy", "exact", "f1")  # shown in percent, as is pass@k
FIELDS = {
    "scores": dict,
    "model": dict,
    "settings": dict,
    "items": int,
    "of": int,
    "cut": int,
    "prompts": str,
    "tokenizer": str,
    "seconds": int | float,
}
SHOWN = 3  # items right, and as many wrong
LETTERS = 1200  # of a text of an item


def evaluation_report(folder: Path) -> Path:
    """Writes FOLDER/evaluation.html, whole or not at all, of the results that are there. Raises UserError where there are none."""
    results = read_results(folder)
    if not results:
        raise UserError(f"{folder} holds no results of an evaluation.\n  Name a folder that `tenfold eval RUN TASKS` wrote.")
    return write_page(folder / "evaluation.html", render(results, [_examples(folder, result) for result in results]))


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Every NAME.json of the folder whose NAME.jsonl is there, by name. Raises UserError where one is damaged."""
    found = []
    for path in sorted(folder.glob("*.json")):
        if not path.with_suffix(".jsonl").exists():
            continue
        try:
            result = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold eval` again.") from error
        if isinstance(result, dict) and {"task", "shots", "scores", "own"} <= result.keys():
            if damaged := [name for name, kind in FIELDS.items() if not isinstance(result.get(name), kind)]:
                raise UserError(f"{path} is damaged: {damaged[0]} is missing.\n  Say the same `tenfold eval` again.")
            if result["own"] not in result["scores"]:
                raise UserError(f"{path} is damaged: scores.{result['own']} is missing.\n  Say the same `tenfold eval` again.")
            found.append({**result, "name": path.stem})
    return sorted(found, key=lambda result: (result["task"], result["shots"], result["name"]))


def render(results: Sequence[dict[str, Any]], examples: Sequence[dict[str, Any]]) -> str:
    """The page as text."""
    first = results[0]
    return template("evaluation.html").render(
        title=Path(first["model"].get("path") or "model").name or "model",
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        models=sorted({f"{result['model'].get('path')} ({result['model'].get('fingerprint')})" for result in results}),
        figures=_figures(results),
        choices=[choice_row(result) for result in results if is_choice(result)],
        others=[row for result in results if not is_choice(result) for row in other_rows(result)],
        rules=[(rule, WHAT[rule]) for rule in RULES],
        beside=[row for row in map(_beside, results) if row],
        details=[{**_details(result), **shown} for result, shown in zip(results, examples, strict=True)],
    )


WHAT = {
    "sum": "the log-probability of the whole answer",
    "token": "over its tokens",
    "byte": "over its UTF-8 bytes",
    "char": "over its characters",
    "answer": 'less that under "Answer:"',
    "empty": "less that at the start of a document",
}


def is_choice(result: dict[str, Any]) -> bool:
    """Whether the model chose among answers, so that there is a score for each rule."""
    return "sum" in result["scores"]


def choice_row(result: dict[str, Any]) -> dict[str, Any]:
    """A result in words: a score for each rule, the task's own marked with a star."""
    scores, own = result["scores"], result["own"]
    return {
        **_who(result),
        "rules": [(*(_parts(scores[rule], rule) if rule in scores else ("", "")), "*" if rule == own else "") for rule in RULES],
        "error": _parts(scores[own], own)[1],
        "interval": interval(scores[own], own),
        "centred": f"{100 * scores[own]['centred']:.1f}" if "centred" in scores[own] else "",
    }


def other_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The scores of a task without choices, in words, the task's own first."""
    names = sorted(result["scores"], key=lambda name: name != result["own"])
    return [
        {
            **_who(result),
            "metric": name,
            "own": name == result["own"],
            **dict(zip(("value", "error"), _parts(result["scores"][name], name), strict=True)),
            "interval": interval(result["scores"][name], name),
        }
        for name in names
    ]


def _parts(row: dict[str, Any], name: str) -> tuple[str, str]:
    """A score and its standard error in words, shares in percent; no error where one item has none."""

    def said(value: float) -> str:
        return f"{100 * value:.1f}" if is_share(name) else number(value)

    return said(row["value"]), "" if row["error"] is None else said(row["error"])


def interval(row: dict[str, Any], name: str) -> str:
    """32.5 to 36.0, shares in percent."""
    return f"{100 * row['low']:.1f} to {100 * row['high']:.1f}" if is_share(name) else f"{number(row['low'])} to {number(row['high'])}"


def is_share(name: str) -> bool:
    """Whether a metric lies from 0 to 1."""
    return name in SHARES or name.startswith("pass@")


def _who(result: dict[str, Any]) -> dict[str, str]:
    name = result.get("name", "")
    trial = name.removeprefix(f"{result['task']}-{result['shots']}shot").lstrip("-")  # what differs from the defaults
    who = {"task": result["task"], "shots": str(result["shots"]), "name": name, "trial": trial}
    return who | {"items": f"{result['items']:,}", "of": f"{result['of']:,}", "cut": f"{result['cut']:,}"}


def _figures(results: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    parameters = results[0]["model"].get("parameters")
    found = [("tasks", f"{len({result['task'] for result in results}):,}"), ("items", f"{sum(result['items'] for result in results):,}")]
    found += [("parameters", number(parameters))] if parameters else []
    return [*found, ("time", duration(sum(result["seconds"] for result in results)))]


def _beside(result: dict[str, Any]) -> dict[str, Any] | None:
    theirs = beside(result["task"], result["shots"])
    return theirs and {**_who(result), "score": _parts(result["scores"][result["own"]], result["own"])[0], **theirs}


def _details(result: dict[str, Any]) -> dict[str, Any]:
    about, settings = result.get("about", {}), result.get("settings", {})
    lines = [(name, about[name]) for name in ("what", "source", "kind", "metric", "scoring") if about.get(name)]
    lines += [(name, str(value)) for name, value in settings.items() if value is not None]
    lines += [("prompts", result["prompts"]), ("tokenizer", result["tokenizer"])]
    lines += [("measured", f"{result['written']}, {duration(result['seconds'])}")]
    example = result.get("example", {})
    prompt = "\n\nor\n\n".join(example.get("prompts", ())) or example.get("prompt", example.get("text", ""))
    return {**_who(result), "lines": lines, "prompt": prompt, "continuations": dict.fromkeys(example.get("continuations", ()))}


def _examples(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """The first items that were right and the first that were wrong, by the task's own rule."""
    path = folder / f"{result['name']}.jsonl"
    try:
        return _right_and_wrong(path, result)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold eval` again.") from error


def _right_and_wrong(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    right: list[dict[str, Any]] = []
    wrong: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            score = item["score"].get(result["own"])
            row = right if score is not None and score >= 0.5 else wrong
            if score is not None and len(row) < SHOWN:
                row.append(_item(item, result["own"]))
            if len(right) == len(wrong) == SHOWN:
                break
    return {"right": right, "wrong": wrong}


def _item(item: dict[str, Any], own: str) -> dict[str, Any]:
    picked, ending = item.get("picked", {}).get(own), item.get("continuation", "")
    choices = [text + ending for text in item.get("choices", [])]
    rows = [
        ("✓" if place == item.get("gold") else "", "→" if place == picked else "", text.strip()[:LETTERS], f"{logprob:.2f}")
        for place, (text, logprob) in enumerate(zip(choices, item.get("logprobs", []), strict=False))
    ]
    return {
        "id": item["id"],
        "question": item.get("question", "")[-LETTERS:],
        "choices": rows,
        "written": [text[:LETTERS] for text in item.get("written", [])],
        "answers": " / ".join(item.get("answers", []))[:LETTERS],
    }
