"""A language model that reads the texts too: its hidden states are attended to beside the model's own encoding of them.

It stays as it is, so each text is read once: states are kept in a file, in the order of `_ordered`, and reading that was stopped goes on.
A text's states are those after `layers` blocks, each place scaled to a root mean square of 1, in float16. Texts are read in batches of one
size, by their own length in eights: a text's states do not depend on those beside it.
Letters: config.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.codefusion.recipe import ReaderConfig
from tenfold.corpus.files import fingerprint, one_process
from tenfold.errors import UserError
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, restack
from tenfold.model.transformer import forward
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.start import Start, open_trained

BATCH, EIGHT = 32, 8
EPSILON = 1e-6

Progress = Callable[[int, int], None]
"""Is told of how many of how many are done."""


@dataclass(frozen=True)
class Reader:
    """A language model as it reads texts."""

    config: ModelConfig
    """Of the layers that are passed."""
    params: Params
    tokenizer: Tokenizer
    tokens: int
    """R."""
    fingerprint: str
    """Of the model's weights and of how it is asked."""

    def states(self, texts: Sequence[str]) -> np.ndarray:
        """f16[B, R, H], zeros behind each text's tokens; an empty text has none."""
        found = np.zeros((len(texts), self.tokens, self.config.embed), np.float16)
        ids = self.ids(texts)
        for rows, states in self.batches(ids, _ordered(ids)):
            for row, state in zip(rows, states, strict=True):
                found[row, : len(state)] = state
        return found

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's tokens, cut to R."""
        return [ids[: self.tokens] for ids in self.tokenizer.encode_batch(list(texts))]

    def batches(self, ids: Sequence[Sequence[int]], rows: Sequence[int]) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Up to BATCH of the rows at a time, and the states of each, f16[tokens, H]. Rows of one length in eights must stand together."""
        first = 0
        while first < len(rows):
            length = _eights(ids[rows[first]])
            some = [row for row in rows[first : first + BATCH] if _eights(ids[row]) == length]
            asked_BR = np.zeros((BATCH, length), np.int32)
            for place, row in enumerate(some):
                asked_BR[place, : len(ids[row])] = ids[row]
            states_BRH = np.asarray(_states(self.params, self.config, asked_BR))
            yield some, [states_BRH[place, : len(ids[row])] for place, row in enumerate(some)]
            first += len(some)


@partial(jax.jit, static_argnums=1)
def _states(params: Params, config: ModelConfig, ids_BR) -> jax.Array:
    x_BRH = forward(params, config, ids_BR).x_BTD
    return (x_BRH * jax.lax.rsqrt(jnp.square(x_BRH).mean(-1, keepdims=True) + EPSILON)).astype(jnp.float16)


def _eights(ids: Sequence[int]) -> int:
    return -(-len(ids) // EIGHT) * EIGHT


def _ordered(ids: Sequence[Sequence[int]]) -> list[int]:
    """Rows that have tokens, the longest first, so that what takes longest is known at once."""
    return sorted((row for row in range(len(ids)) if ids[row]), key=lambda row: (-_eights(ids[row]), row))


def _opened(config: ReaderConfig) -> tuple[Start, Tokenizer]:
    """What reader.path names. Raises UserError where that cannot read."""
    start = open_trained(Path(str(config.path)).expanduser(), "bfloat16")
    model, tokenizer = start.config, start.tokenizer()
    if model.encoder_layers or not model.causal:
        raise UserError(
            f"reader.path is {config.path}, which is no language model: it reads both ways.\n  Name a decoder, such as a GPT's run."
        )
    if tokenizer is None:
        raise UserError(f"reader.path is {config.path}, which has no tokenizer.\n  Put its tokenizer.json there.")
    if config.layers > model.layers:
        raise UserError(f"reader.layers is {config.layers}, but {config.path} has {model.layers}.\n  Use at most as many, or 0 for all.")
    if config.tokens > model.context:
        raise UserError(f"reader.tokens is {config.tokens}, but {config.path} knows {model.context} positions.\n  Use at most as many.")
    return start, tokenizer


def reader_width(config: ReaderConfig) -> int:
    """H, of a reader that is not read yet. Raises UserError where it cannot be one."""
    return _opened(config)[0].config.embed


def reader_fingerprint(config: ReaderConfig) -> str:
    """Of a reader that is not read yet: its weights, and how it is asked. Raises UserError where it cannot be one."""
    return _fingerprint(config, *_opened(config))


def _fingerprint(config: ReaderConfig, start: Start, tokenizer: Tokenizer) -> str:
    return fingerprint(start.fingerprint(), tokenizer.fingerprint, config.layers, config.tokens)


def open_reader(config: ReaderConfig, expected: str) -> Reader:
    """The reader, its weights on this process's first device. Raises UserError where its fingerprint is not what is expected."""
    start, tokenizer = _opened(config)
    own = _fingerprint(config, start, tokenizer)
    if own != expected:
        raise UserError(
            f"reader.path is {config.path}, which is no longer what was learned with: its fingerprint was {expected}, and now is {own}.\n"
            "  Put the model back as it was."
        )
    params = start.params(make_mesh(MeshConfig(), jax.local_devices()[:1]))
    layers = config.layers or start.config.layers
    kept = {name: value for name, value in params.items() if name not in ("head", "head_bias", "final_norm")}
    kept["blocks"] = restack(params["blocks"], start.config.layers)[:layers]
    model = replace(start.config, layers=layers, scan=False, expert_capacity=0.0)  # or experts would turn texts away for those beside them
    return Reader(model, kept, tokenizer, config.tokens, own)


@dataclass(frozen=True)
class KeptStates:
    """The states of many texts, in a file."""

    states_NH: np.ndarray
    places: dict[str, tuple[int, int]]
    """Of each text, its first row and the one behind its last."""
    tokens: int

    def states(self, texts: Sequence[str]) -> np.ndarray:
        """f16[B, R, H], as `Reader.states`; an empty text has none."""
        found = np.zeros((len(texts), self.tokens, self.states_NH.shape[1]), np.float16)
        for row, text in enumerate(texts):
            if text:
                first, end = self.places[text]
                found[row, : end - first] = self.states_NH[first:end]
        return found


def read_all(reader: Reader, texts: Sequence[str], folder: Path, progress: Progress) -> KeptStates:
    """The states of all texts, from the folder where they are there; what is missing is read and put there. Of processes that read
    the same texts one reads, and the others wait for it."""
    different = sorted({*texts} - {""})
    ids, width = reader.ids(different), reader.config.embed
    order = _ordered(ids)
    ends = np.cumsum([len(ids[row]) for row in order])
    total = int(ends[-1]) if order else 0
    folder = folder / f"states-{fingerprint(reader.fingerprint, different)}"
    path = folder / "states.f16"
    with one_process(folder), path.open("ab") as file:
        done = int(np.searchsorted(ends, file.tell() // (2 * width), side="right"))
        file.truncate(2 * width * int(ends[done - 1]) if done else 0)
        progress(done, len(order))
        for rows, states in reader.batches(ids, order[done:]):
            file.write(np.concatenate(states).tobytes())
            file.flush()
            done += len(rows)
            progress(done, len(order))
    states_NH = np.memmap(path, np.float16, "r", shape=(total, width)) if total else np.zeros((0, width), np.float16)
    places = {different[row]: (int(end) - len(ids[row]), int(end)) for row, end in zip(order, ends, strict=True)}
    return KeptStates(states_NH, places | {text: (0, 0) for text in different if text not in places}, reader.tokens)
