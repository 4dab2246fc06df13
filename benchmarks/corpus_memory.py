"""Peak memory of a whole build, from documents to token shards, on inputs of several sizes.

    python benchmarks/corpus_memory.py --megabytes 400 4000 --workers 2

The documents are made: lines of the running interpreter's library in an order that a seed fixes, 4 kB each, written as JSON lines. A
tenth of them are copies of an earlier one with one line changed, and one in a hundred are copies. Near duplicates are looked for with
FineWeb's bands; the tokenizer has 32,768 tokens. The peak is that of the process and all its children, shared pages counted once.
"""

import argparse
import json
import random
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from corpus import measured

LINES = 90  # of a document
FILE_BYTES = 100_000_000
HELD = 5_000  # earlier documents that one may be a copy of
BUILD = """
import sys
from pathlib import Path
from rich.console import Console
from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.minhash import FINEWEB
from tenfold.corpus.recipe import CorpusRecipe, FuzzyConfig, SourceConfig, TokensConfig
from tenfold.recipes.corpus_road import Work, build_corpus
if __name__ == "__main__":
    source = SourceConfig("made", "jsonl", sys.argv[1], rules=("gopher.words",))
    recipe = CorpusRecipe("memory", sources=(source,), fuzzy=FuzzyConfig(minhash=FINEWEB), tokens=TokensConfig(vocab=32_768))
    work = Work(Path(sys.argv[2]), workers=int(sys.argv[3]))
    if sys.argv[4] == "True":
        build_documents(recipe, work.out, work.start())
    else:
        build_corpus(recipe, work, Console(quiet=True))
"""


def make(folder: Path, megabytes: float) -> None:
    """Documents of so many megabytes in all, always the same ones."""
    library = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    lines = [line for path in library for line in path.read_text(errors="replace").splitlines() if len(line) > 20]
    chosen = random.Random(0)
    earlier: list[list[str]] = []
    left = int(megabytes * 1e6)
    folder.mkdir(parents=True)
    while left > 0:
        room = min(left, FILE_BYTES)
        left -= room
        with (folder / f"{left:015}.jsonl").open("w", encoding="utf-8") as file:
            while room > 0:
                document = next_document(chosen, lines, earlier)
                text = "\n".join(document)
                room -= len(text)
                file.write(json.dumps({"text": text}) + "\n")


def next_document(chosen: random.Random, lines: list[str], earlier: list[list[str]]) -> list[str]:
    draw = chosen.random()
    if draw < 0.11 and earlier:
        document = list(chosen.choice(earlier))
        if draw < 0.1:
            document[chosen.randrange(LINES)] = chosen.choice(lines)
        return document
    document = chosen.choices(lines, k=LINES)
    if len(earlier) < HELD:
        earlier.append(document)
    else:
        earlier[chosen.randrange(HELD)] = document
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[400, 4000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--documents-only", action="store_true", help="no tokenizer, no shards")
    parser.add_argument("--folder", type=Path, help="where to work; needs about three times the megabytes")
    options = parser.parse_args()
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            place = Path(folder)
            make(place / "made", megabytes)
            arguments = [str(place / "made"), str(place / "out"), str(options.workers), str(options.documents_only)]
            seconds, peak, _ = measured([sys.executable, "-c", BUILD, *arguments])
            stages = json.loads((place / "out" / "manifest.json").read_text())["stages"]
            said = {each["stage"]: [each["seconds"], each["total"]["kept"]["documents"]] for each in stages}
            print(f"{megabytes:g} MB, {options.workers} workers: {seconds:.0f} s, peak {peak:.2f} GB  {said}", flush=True)
            shutil.rmtree(place / "out")


if __name__ == "__main__":
    main()
