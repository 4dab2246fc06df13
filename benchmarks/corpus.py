"""WARC -> text -> near duplicates, beside datatrove (as it ships, and with resiliparse plugged in) and text-dedup's MinHash.

    PEERS_PYTHON=.venv-datatrove/bin/python python benchmarks/corpus.py --html FOLDER --megabytes 50 --workers 2

FOLDER holds HTML, such as what documentation packages install. The script writes WARC files of it, then runs each program on the same
files with equal workers, one after another, and prints seconds, MB of HTML a second, the peak memory of the program and its children,
and ratios to Tenfold. Tokens are not made.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peers", nargs="*", default=["trafilatura", "resiliparse", "text-dedup"])
    options = parser.parse_args()
    peers = os.environ.get("PEERS_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        subprocess.run([peers, str(PEER), "warcs", str(options.html), str(place / "warcs"), str(options.megabytes)], check=True)
        print(f"{len(os.sched_getaffinity(0))} cores, {options.workers} workers, up to {options.megabytes:g} MB of HTML, {FINEWEB.stamp}")
        seconds, peak, _ = measured([sys.executable, "-c", BUILD, str(place / "warcs"), str(place / "ours"), str(options.workers)])
        stages = {path.parent.name: json.loads(path.read_text())["seconds"] for path in sorted((place / "ours").rglob("seconds.json"))}
        rate = f"{seconds:8.1f} s  {options.megabytes / seconds:7.2f} MB/s  peak {peak:.2f} GB"
        print(f"{'tenfold':<20} {rate}  {stages}", flush=True)
        for peer in options.peers:
            if peer == "text-dedup":
                texts_of(place / "ours", place / "texts.jsonl")
                command, own = [peers, str(PEER), peer, str(place / "texts.jsonl")], stages["5-fuzzy"]
            else:
                command, own = [peers, str(PEER), "datatrove", str(place / "warcs")], seconds
            extra = [str(options.workers), *([peer] if peer != "text-dedup" else [])]
            try:
                took, peak, said = measured([*command, str(place / peer), *extra])
            except SystemExit as ended:
                print(f"{peer:<20} did not run: {ended}")
                continue
            rate = f"{took:8.1f} s  {options.megabytes / took:7.2f} MB/s  peak {peak:.2f} GB"
            print(f"{peer:<20} {rate}  {took / own:.2f}x  {said.strip()}", flush=True)
            shutil.rmtree(place / peer, ignore_errors=True)


if __name__ == "__main__":
    main()
