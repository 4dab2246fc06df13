"""What `corpus.py` runs in the peers' own environment: WARC files made from HTML, and datatrove or text-dedup on them.

    python corpus_peer.py warcs HTML_FOLDER OUT MEGABYTES
    python corpus_peer.py datatrove WARC_FOLDER OUT WORKERS trafilatura|resiliparse
    python corpus_peer.py text-dedup JSONL OUT WORKERS

Needs: datatrove[io,processing] resiliparse warcio for the first two, text-dedup for the last.
"""

import json
import re
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

PAGES_IN_FILE = 250


def warcs(html: Path, out: Path, megabytes: float) -> None:
    """Pages of a folder, sorted by name, up to so many megabytes of HTML; a page's site is the folder it lies in."""
    pages, left = [], megabytes * 1e6
    for page in sorted(html.rglob("*.html")):
        left -= page.stat().st_size
        if left < 0:
            break
        pages.append((f"http://{page.relative_to(html).parts[0]}.example/{page.relative_to(html).as_posix()}", page))
    write_warcs(pages, out)


def write_warcs(pages: list[tuple[str, Path]], out: Path) -> None:
    """Files of HTML under their addresses, as response records of gzipped WARC files."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    out.mkdir(parents=True)
    for begin in range(0, len(pages), PAGES_IN_FILE):
        with (out / f"{begin // PAGES_IN_FILE:05}.warc.gz").open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            for url, page in pages[begin : begin + PAGES_IN_FILE]:
                headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
                record = writer.create_warc_record(url, "response", payload=BytesIO(page.read_bytes()), http_headers=headers)
                writer.write_record(record)


def datatrove(folder: Path, out: Path, workers: int, extractor: str) -> None:
    """WARC -> extraction -> MinHash, in datatrove's four stages, each with its local executor. Prints the seconds of each."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.extractors.base import BaseExtractor
    from datatrove.pipeline.readers import JsonlReader, WarcReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    class Resiliparse(BaseExtractor):
        name = "resiliparse"

        def __init__(self):
            super().__init__(timeout=10)

        def extract(self, text: str) -> str:
            from resiliparse.extract.html2text import extract_plain_text

            return extract_plain_text(text, main_content=True)

    config = MinhashConfig(num_buckets=14, hashes_per_bucket=8)
    files = len(list(folder.glob("*.warc.gz")))
    texts, sigs, buckets, ids = (str(out / name) for name in ("texts", "signatures", "buckets", "remove"))
    chosen = Trafilatura(timeout=10) if extractor == "trafilatura" else Resiliparse()
    stages = {
        "extract": ([WarcReader(str(folder), glob_pattern="*.warc.gz"), chosen, JsonlWriter(texts)], files, workers),
        "signatures": ([JsonlReader(texts), MinhashDedupSignature(sigs, config=config)], files, workers),
        "buckets": ([MinhashDedupBuckets(sigs, buckets, config=config)], config.num_buckets, workers),
        "cluster": ([MinhashDedupCluster(buckets, ids, config=config)], 1, 1),
        "filter": ([JsonlReader(texts), MinhashDedupFilter(ids), JsonlWriter(str(out / "kept"))], files, workers),
    }
    seconds = {}
    for name, (pipeline, tasks, at_once) in stages.items():
        began = time.perf_counter()
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=at_once, logging_dir=str(out / "logs" / name)).run()
        seconds[name] = round(time.perf_counter() - began, 2)
    print(json.dumps(seconds))


def text_dedup(jsonl: Path, out: Path, workers: int) -> None:
    """text-dedup's MinHash by its own command line, with as many bands, hashes and words. Prints the seconds that it says it took."""
    given = {"path": "json", "data_files": jsonl, "split": "train", "column": "text", "output": out, "num_proc": workers}
    same = {"ngram": 5, "num_perm": 112, "b": 14, "r": 8, "threshold": 0.75}
    options = [word for name, value in {**given, **same}.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "text_dedup.minhash", *options]
    said = subprocess.run(command, check=True, cwd=jsonl.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    print(json.dumps({"its own count": float(re.findall(r"Total\s*: ([\d.]+)s", said)[-1])}))


if __name__ == "__main__":
    what, source, place, *rest = sys.argv[1:]
    if what == "warcs":
        warcs(Path(source), Path(place), float(rest[0]))
    elif what == "datatrove":
        datatrove(Path(source), Path(place), int(rest[0]), rest[1])
    else:
        text_dedup(Path(source), Path(place), int(rest[0]))
