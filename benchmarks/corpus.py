"""WARC -> text -> near duplicates, beside datatrove (as it ships, and with resiliparse plugged in) and text-dedup's MinHash.

    python benchmarks/corpus.py --html FOLDER --datatrove-python PATH --text-dedup-python PATH

FOLDER holds HTML, such as what documentation packages install. The script writes WARC files of it, then runs each program on the same
files with equal workers, one after another, and prints seconds, MB a second (of HTML; of text for text-dedup), the peak memory of the
program and its children, and how many times as long as Tenfold it took: all of it, or the fuzzy stage for text-dedup, which gets the
texts and whose own count of seconds is taken, without its start. Tokens are not made: `corpus_tokens.py`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tenfold.corpus.minhash import FINEWEB

STOPPED = 1.0  # seconds that a sleep of 50 ms takes only where the process was stopped
PEER = Path(__file__).with_name("corpus_peer.py")
BUILD = """
import sys
from pathlib import Path
from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.minhash import FINEWEB
from tenfold.corpus.recipe import CorpusRecipe, FuzzyConfig, SourceConfig
recipe = CorpusRecipe("bench", sources=(SourceConfig("crawl", "warc", sys.argv[1]),), fuzzy=FuzzyConfig(minhash=FINEWEB))
build_documents(recipe, Path(sys.argv[2]), Engine(workers=int(sys.argv[3])))
"""


def measured(command: list[str]) -> tuple[float, float, str]:
    """(seconds, peak gigabytes, what it printed), of the process and all its descendants; the peak is sampled every 50 ms.

    Where somebody stops this script and its children for a while, as to measure something else, that while does not count.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, stopped = 0, 0.0

    def watch() -> None:
        nonlocal peak, stopped
        while process.poll() is None:
            peak = max(peak, memory_of_tree(process.pid))
            before = time.perf_counter()
            time.sleep(0.05)
            gap = time.perf_counter() - before
            stopped += gap if gap > STOPPED else 0.0

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {process.returncode}")
    return time.perf_counter() - began - stopped, peak / 1e9, output


def memory_of_tree(root: int) -> int:
    """Proportional bytes of a process and its descendants: shared pages count once."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        todo += children.get(pid, [])
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        except (OSError, ValueError):
            continue
    return total


def texts_of(out: Path, jsonl: Path) -> None:
    """Tenfold's normalised texts as JSON lines, for text-dedup."""
    import pyarrow.parquet as pq

    with jsonl.open("w") as file:
        for part in sorted((out / "documents" / "1-normalise" / "kept").glob("*.parquet")):
            for text in pq.read_table(part, columns=["text"])["text"].to_pylist():
                file.write(json.dumps({"text": text}) + "\n")


def speed(megabytes: float, seconds: float, peak: float) -> str:
    return f"{seconds:8.2f} s  {megabytes / seconds:7.2f} MB/s  peak {peak:.2f} GB"


def peers_beside(options: argparse.Namespace, place: Path, whole: float, fuzzy: float) -> None:
    """Each peer on the files that Tenfold was run on, and how many times as long it took."""
    for peer in options.peers:
        if peer == "text-dedup":
            texts_of(place / "ours", place / "texts.jsonl")
            command, own = [options.text_dedup_python, str(PEER), peer, str(place / "texts.jsonl")], fuzzy
            megabytes, extra = (place / "texts.jsonl").stat().st_size / 1e6, [str(options.workers)]
        else:
            command, own = [options.datatrove_python, str(PEER), "datatrove", str(place / "warcs")], whole
            megabytes, extra = options.megabytes, [str(options.workers), peer]
        try:
            took, peak, said = measured([*command, str(place / peer), *extra])
        except SystemExit as ended:
            print(f"{peer:<20} did not run: {ended}")
            continue
        counted = json.loads(said.strip().splitlines()[-1])
        ratio = f"{took / own:.2f}x" if peer != "text-dedup" else f"{counted['its own count'] / own:.2f}x by its own count of the work"
        print(f"{peer:<20} {speed(megabytes, took, peak)}  {ratio}  {counted}", flush=True)
        shutil.rmtree(place / peer, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="of Tenfold; the median counts")
    parser.add_argument("--peers", nargs="*", default=["resiliparse", "text-dedup", "trafilatura"])
    parser.add_argument("--datatrove-python", default=os.environ.get("PEERS_PYTHON", sys.executable))
    parser.add_argument("--text-dedup-python", default=os.environ.get("PEERS_PYTHON", sys.executable))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wanted = [str(options.html), str(place / "warcs"), str(options.megabytes)]
        subprocess.run([options.datatrove_python, str(PEER), "warcs", *wanted], check=True)
        print(f"{len(os.sched_getaffinity(0))} cores, {options.workers} workers, up to {options.megabytes:g} MB of HTML, {FINEWEB.stamp}")
        runs = []
        for _ in range(options.runs):
            shutil.rmtree(place / "ours", ignore_errors=True)
            seconds, peak, _ = measured([sys.executable, "-c", BUILD, str(place / "warcs"), str(place / "ours"), str(options.workers)])
            stages = {path.parent.name: json.loads(path.read_text())["seconds"] for path in sorted((place / "ours").rglob("seconds.json"))}
            print(f"{'tenfold':<20} {speed(options.megabytes, seconds, peak)}  {stages}", flush=True)
            runs.append((seconds, stages["5-fuzzy"]))
        peers_beside(options, place, *(sorted(each)[len(each) // 2] for each in zip(*runs, strict=True)))


if __name__ == "__main__":
    main()
