"""Tokenising a corpus's documents into shards, beside `tokenizers` called bare on the same texts.

    python benchmarks/corpus_tokens.py --corpus FOLDER

FOLDER is what `tenfold corpus build` wrote. Ours checks its documents, reads them from Parquet, encodes them, and writes shards with
their indexes and checksums. Bare is `encode_batch_fast` of the same texts, which are in memory already, in batches of 1,000, and the
ids taken out. They run in turn, on all cores; medians.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tokenizers

from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.store import Stage
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig, TokensConfig
from tenfold.tokens.corpus import tokenise

BATCH = 1_000


def timed(function: Callable[[], int]) -> tuple[float, float, int]:
    began, worked = time.perf_counter(), time.process_time()
    tokens = function()
    return time.perf_counter() - began, time.process_time() - worked, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    documents = options.corpus / "documents" / "5-fuzzy"
    stage = Stage(documents, json.loads((documents / "stage.json").read_text("utf-8")))
    texts = [text for part in stage.with_documents() for text in stage.table(part, ["text"])["text"].to_pylist()]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    bare = tokenizers.Tokenizer.from_file(str(options.corpus / "tokenizer.json"))
    config = TokensConfig(tokenizer=str(options.corpus / "tokenizer.json"), held_out=0.0)
    recipe = CorpusRecipe("tokens", sources=(SourceConfig("any", "files", "."),), tokens=config)

    def run_bare() -> int:
        batches = map(texts.__getitem__, slices(len(texts)))
        return sum(len(each.ids) + 1 for batch in batches for each in bare.encode_batch_fast(batch, add_special_tokens=False))

    def run_ours() -> int:
        with tempfile.TemporaryDirectory() as folder:
            counts = tokenise(recipe, stage, Path(folder) / "out", Engine(workers=2))
            shutil.rmtree(folder, ignore_errors=True)
        return sum(count["tokens"] for count in counts.values())

    Engine().start()  # Daft is imported once a program
    pairs = [(timed(run_ours), timed(run_bare)) for _ in range(options.runs)]
    assert len({tokens for pair in pairs for *_, tokens in pair}) == 1, "both make the same tokens"
    print(f"{len(texts)} documents, {megabytes:.1f} MB, {pairs[0][0][2]:,} tokens, tokenizers {tokenizers.__version__}")
    for measure, name in enumerate(("seconds", "processor's seconds")):
        ours, alone = (statistics.median(pair[side][measure] for pair in pairs) for side in (0, 1))
        ratios = sorted(bare[measure] / mine[measure] for mine, bare in pairs)
        print(f"{name}: tenfold {ours:.2f}, bare {alone:.2f}, {alone / ours:.2f}x; run by run {ratios[0]:.2f} to {ratios[-1]:.2f}")


def slices(count: int) -> list[slice]:
    return [slice(begin, begin + BATCH) for begin in range(0, count, BATCH)]


if __name__ == "__main__":
    main()
