"""A corpus as one HTML page: what each stage kept and dropped and why, with examples, and the table of its mixture.

Reads manifest.json and mixture.json alone. Every text in them is somebody's page: the template escapes all of it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tenfold.errors import UserError
from tenfold.report.page import template, write_page
from tenfold.report.tables import bytes_in_words, duration

LETTERS = 400  # of an example


def corpus_report(out: Path) -> Path:
    """Writes OUT/report.html, whole or not at all. A corpus in the making gives a page of the stages that are there.

    Raises UserError where OUT is no corpus, or a file of it is damaged.
    """
    return write_page(out / "report.html", render(read_manifest(out), _read(out / "mixture.json")))


def read_manifest(out: Path) -> dict[str, Any]:
    """OUT/manifest.json. Raises UserError where there is none."""
    found = _read(out / "manifest.json")
    if not found:
        raise UserError(f"{out} is no corpus: it has no manifest.json.\n  Name a folder that `tenfold corpus build` wrote.")
    return found


def render(manifest: dict[str, Any], mixture: dict[str, Any]) -> str:
    """The page as text."""
    return template("corpus.html").render(
        title=manifest["recipe"],
        written=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        figures=_figures(manifest, mixture),
        stages=[stage_row(stage) for stage in manifest["stages"]],
        skipped=sorted(manifest["skipped"].items()),
        examples=[_examples(stage) for stage in manifest["stages"] if len(stage["samples"]) > 1],
        kept=_texts(manifest["stages"][-2 if manifest["stages"][-1]["stage"] == "7-index" else -1]["samples"].get("", [])),
        mixture=[mixture_row(source) for source in mixture.get("sources", [])],
        warnings=mixture.get("warnings", []),
    )


def stage_row(stage: dict[str, Any]) -> dict[str, Any]:
    """A stage in words: what it kept, what it dropped by reason, how long it took."""
    reasons: dict[str, list[int]] = {}
    for group in stage["dropped"].values():
        for reason, count in group.items():
            sofar = reasons.setdefault(reason, [0, 0])
            sofar[0] += count["documents"]
            sofar[1] += count["bytes"]
    kept = stage["total"]["kept"]
    return {
        "name": stage["stage"],
        "documents": f"{kept['documents']:,}",
        "bytes": bytes_in_words(kept["bytes"]),
        "seconds": duration(stage["seconds"]),
        "reasons": [(reason, f"{count:,}", bytes_in_words(size)) for reason, (count, size) in sorted(reasons.items(), key=_most_first)],
    }


def _most_first(reason: tuple[str, list[int]]) -> tuple[int, str]:
    name, (documents, _) = reason
    return -documents, name


def mixture_row(source: dict[str, Any]) -> dict[str, str]:
    """A source of the mixture in words."""
    return {
        "source": source["source"],
        "documents": f"{source['documents']:,}",
        "tokens": f"{source['tokens']:,}",
        "weight": f"{100 * source['weight']:.2f}%",
        "epochs": f"{source['epochs']:.2f}",
        "unique": f"{source['unique_tokens']:,}",
        "shortfall": f"{source['shortfall']:,}",
    }


def _figures(manifest: dict[str, Any], mixture: dict[str, Any]) -> list[tuple[str, str]]:
    first, last = manifest["stages"][0]["total"]["kept"], manifest["stages"][-1]["total"]["kept"]
    found = [
        ("documents read", f"{first['documents']:,}"),
        ("documents kept", f"{last['documents']:,}"),
        ("text kept", bytes_in_words(last["bytes"])),
    ]
    if mixture:
        found.append(("tokens to train on", f"{sum(source['tokens'] for source in mixture['sources']):,}"))
    return [*found, ("time", duration(sum(stage["seconds"] for stage in manifest["stages"])))]


def _examples(stage: dict[str, Any]) -> dict[str, Any]:
    return {"name": stage["stage"], "reasons": [(*each, _texts(stage["samples"].get(each[0], []))) for each in stage_row(stage)["reasons"]]}


def _texts(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    shown = []
    for row in rows:
        place = f"{row['source']}, {row['file']}" + (f":{row['offset']}" if row["offset"] else "")
        about = " · ".join(str(each) for each in (row["id"], place, row["other"] if row["other"] != row["id"] else "") if each)
        shown.append({"about": about, "text": row["text"][:LETTERS]})
    return shown


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}.\n  Say the same `tenfold corpus build` again.") from error
