"""A corpus of a few dozen documents with one of everything that a stage drops, and its files to compare builds by."""

import json
import random
from dataclasses import replace
from pathlib import Path

from tenfold.corpus.decontaminate import Decontaminate
from tenfold.corpus.minhash import MinHash
from tenfold.corpus.recipe import CorpusRecipe, DecontaminateConfig, FuzzyConfig, SourceConfig, TokensConfig, WorkConfig

WORDS = [f"word{number}" for number in range(500)]


def prose(seed: int, words: int = 200) -> str:
    """A text of its own, the same for a seed."""
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(words))


def write_sources(folder: Path) -> CorpusRecipe:
    """Two sources and an evaluation set under a folder, and the recipe that reads them into several parts."""
    web, books = folder / "web", folder / "books"
    web.mkdir(parents=True)
    books.mkdir()
    rows = [{"text": prose(seed), "url": f"http://site{seed % 2}.org/{seed}"} for seed in range(24)]
    rows.append({"text": prose(3), "url": "http://elsewhere.org/copy"})
    rows.append({"text": prose(4) + " and one word more", "url": "http://elsewhere.org/near"})
    rows.append({"text": prose(100) + " " + prose(7), "url": "http://elsewhere.org/evaluation"})
    lines = [json.dumps(row) for row in rows] + ["{not json", ""]
    (web / "pages.jsonl").write_text("\n".join(lines))
    for seed in range(30, 36):
        (books / f"{seed}.txt").write_text(prose(seed) + "\r\n")
    (books / "copy.txt").write_text(prose(5))
    (books / "broken.txt").write_bytes(b"\xff\xfe\xfa not text")
    (books / "empty.txt").write_text("")
    (folder / "evaluation.jsonl").write_text(json.dumps({"text": " ".join(prose(100).split()[80:120])}))
    return CorpusRecipe(
        "small",
        sources=(SourceConfig("books", "files", str(books), weight=0.75), SourceConfig("web", "jsonl", str(web), weight=0.25)),
        fuzzy=FuzzyConfig(minhash=MinHash(words=2, bands=10, rows=1, threshold=0.8), together=("books+web",)),
        decontaminate=DecontaminateConfig((str(folder / "evaluation.jsonl"),), Decontaminate(window=100, shortest=50)),
        tokens=TokensConfig(vocab=300, held_out=0.2),
        work=WorkConfig(part_bytes=12_000, batch_bytes=25_000),
    )


def brief(recipe: CorpusRecipe) -> CorpusRecipe:
    """The recipe in one batch."""
    return replace(recipe, work=replace(recipe.work, batch_bytes=10_000_000))


def files_of(out: Path) -> dict[str, bytes]:
    """Every file of a corpus by its name, without times and locks."""
    chosen = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in ("seconds.json", ".lock", "result.json"))
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in chosen}
    if "manifest.json" in found:
        manifest = json.loads(found["manifest.json"])
        found["manifest.json"] = json.dumps({**manifest, "stages": [{**each, "seconds": 0} for each in manifest["stages"]]}).encode()
    found.pop("report.html", None)
    return found
