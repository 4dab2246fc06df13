"""What `evaluate.py` runs in a Python with llama-cpp-python: llama.cpp as its own tool for tasks of choices drives it.

    python evaluate_llama.py GGUF FOLDER BATCH

FOLDER/requests.json gives, for each of our tasks, its items: contexts and continuations. The answers to one question are sequences of one
batch whose common beginning is read once, and the head runs where it is asked only. Writes FOLDER/theirs.json: of each continuation, its
log-probability, its tokens, and whether each was the likeliest.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import llama_cpp
import numpy as np

SEQUENCES = 64  # of a batch
Answer = tuple[float, int, bool]


class Scorer:
    """llama.cpp with one GGUF file, reading at most `batch` tokens at once."""

    def __init__(self, gguf: str, batch: int):
        llama_cpp.llama_log_set(_silent, None)
        self.model = llama_cpp.llama_model_load_from_file(gguf.encode(), llama_cpp.llama_model_default_params())
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        how = llama_cpp.llama_context_default_params()
        how.n_ctx = how.n_batch = how.n_ubatch = self.batch = batch
        how.n_seq_max, how.kv_unified, how.n_outputs_max = SEQUENCES, True, batch
        how.n_threads = how.n_threads_batch = os.cpu_count()
        self.context = llama_cpp.llama_init_from_model(self.model, how)

    def tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = (llama_cpp.llama_token * (len(data) + 1))()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), room, len(room), False, False)
        return list(room[:count])

    def pair(self, context: str, text: str) -> tuple[list[int], int]:
        """All tokens, and how many of them are the context's, cut as the harness cuts them."""
        bare = context.rstrip()
        return self.tokens(context + text), len(self.tokens(bare))

    def scores(self, items: list[list[tuple[list[int], int]]]) -> list[list[Answer]]:
        """Of each item's continuations: the log-probability, the tokens, and whether each is the likeliest."""
        found: list[list[Answer]] = []
        waiting: list[list[tuple[list[int], int]]] = []
        tokens = sequences = 0
        for item in items:
            if (new := _size(item)) > self.batch:
                sys.exit(f"an item has {new} tokens, more than llama.cpp is to read at once.\n  Use --batch {new} or more.")
            if waiting and (tokens + new > self.batch or sequences + len(item) > SEQUENCES):
                found += self._decode(waiting)
                waiting, tokens, sequences = [], 0, 0
            waiting.append(item)
            tokens, sequences = tokens + new, sequences + len(item)
        return found + self._decode(waiting)

    def _decode(self, items: list[list[tuple[list[int], int]]]) -> list[list[Answer]]:
        rows: list[list] = []  # token, position, sequences, asked
        asked: list[list[list[tuple[int, int]]]] = []  # for each continuation: (row, token that follows it)
        sequence = 0
        for item in items:
            numbers = range(sequence, sequence + len(item))
            sequence += len(item)
            shared, first = _shared(item), len(rows)
            rows += [[token, place, list(numbers), False] for place, token in enumerate(item[0][0][:shared])]
            asked.append([])
            for number, (tokens, before) in zip(numbers, item, strict=True):
                own = len(rows) - shared
                rows += [[token, place, [number], False] for place, token in enumerate(tokens[shared:-1], shared)]
                places = range(before - 1, len(tokens) - 1)
                asked[-1].append([((first if place < shared else own) + place, tokens[place + 1]) for place in places])
                for row, _ in asked[-1][-1]:
                    rows[row][3] = True
        logits_NV = self._logits(rows)
        place = {row: n for n, row in enumerate(row for row, each in enumerate(rows) if each[3])}
        largest_N = logits_NV.max(1)
        total_N = largest_N + np.log(np.exp(logits_NV - largest_N[:, None]).sum(1))
        return [[_answer(follows, place, logits_NV, largest_N, total_N) for follows in item] for item in asked]

    def _logits(self, rows: list[list]) -> np.ndarray:
        """f32[N, V] of the rows that are asked."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), False)
        batch = llama_cpp.llama_batch_init(len(rows), 0, SEQUENCES)
        batch.n_tokens = len(rows)
        for n, (token, position, sequences, asked) in enumerate(rows):
            batch.token[n], batch.pos[n], batch.n_seq_id[n], batch.logits[n] = token, position, len(sequences), asked
            for s, sequence in enumerate(sequences):
                batch.seq_id[n][s] = sequence
        if failed := llama_cpp.llama_decode(self.context, batch):
            sys.exit(f"llama_decode ended with {failed} for {len(rows)} tokens")
        llama_cpp.llama_batch_free(batch)
        shape = (sum(row[3] for row in rows), self.size)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self.context), shape)


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: ctypes.c_void_p) -> None:
    pass


def _answer(follows, place, logits_NV, largest_N, total_N) -> Answer:
    values = [(logits_NV[place[row], token], largest_N[place[row]], total_N[place[row]]) for row, token in follows]
    total = sum(float(value) - float(total) for value, _, total in values)
    return total, len(values), all(bool(value >= largest) for value, largest, _ in values)


def _shared(item: list[tuple[list[int], int]]) -> int:
    """Tokens that all of an item's sequences begin with; the last of each is not read."""
    columns = zip(*(tokens[:-1] for tokens, _ in item), strict=False)
    return next((n for n, column in enumerate(columns) if len(set(column)) > 1), min(len(tokens) - 1 for tokens, _ in item))


def _size(item: list[tuple[list[int], int]]) -> int:
    shared = _shared(item)
    return shared + sum(len(tokens) - 1 - shared for tokens, _ in item)


def main(gguf: str, folder: Path, batch: int) -> None:
    started = time.perf_counter()
    scorer = Scorer(gguf, batch)
    found: dict = {"versions": f"llama-cpp-python {llama_cpp.__version__}"}
    for name, items in json.loads((folder / "requests.json").read_text()).items():
        found[name] = scorer.scores([[scorer.pair(context, text) for context, text in item] for item in items])
    found["seconds"] = time.perf_counter() - started
    (folder / "theirs.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
