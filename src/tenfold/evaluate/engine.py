"""The engine that answers an evaluation's requests: likelihoods in packed rows, texts in batches.

A device call reads B rows of T tokens and gives the log-probabilities of what they are asked: the head runs over chunks of those positions
only, and no logits of a whole row exist. Few programs are compiled: one for each length of rows. A score does not depend on what is asked
beside it (but for the rounding of sums).

Shapes: as model/config.py; S, R as tree.py; C positions of a chunk.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.paths import Asked, BatchTokenizer, Path, asked, asked_of_texts
from tenfold.evaluate.requests import Continuation, Likelihood, Writing, Written
from tenfold.evaluate.tree import ASKED, Packed, Row, cheapest_rows, packed, packed_rows, rows_at_once, single_rows
from tenfold.evaluate.write import Writer
from tenfold.generate.complete import check_decodes
from tenfold.generate.config import Weights
from tenfold.generate.decode import prepare_for_decode
from tenfold.model.attention.kinds import takes_trees
from tenfold.model.attention.tree import Tree
from tenfold.model.config import ModelConfig
from tenfold.model.forms import Turned8
from tenfold.model.matmul import rows as flat
from tenfold.model.params import Params
from tenfold.model.transformer import forward, head, logits

CHUNK = 256
"""C: as many as make a product fast, and few enough that the last chunk's empty places cost little."""
PART = 4096
"""V: tokens of the head whose logits are there at a time, 4 MiB of a chunk."""
WRITTEN_AT_ONCE = 16
"""Rows of a cache: texts, or beams of them."""
Progress = Callable[[int, int], None]


class TrainedModel(Protocol):
    """What is measured; `tenfold.load` gives one."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def params(self) -> Params: ...
    @property
    def tokenizer(self) -> BatchTokenizer | None: ...


class Engine:
    """A model ready to be asked."""

    def __init__(
        self, model: TrainedModel, weights: Weights = "float32", row: int | None = None, batch: int | None = None, share: bool = True
    ):
        """`weights` is what they are rounded to; float32 repeats scores to 1e-5 whatever is asked beside them. `row` is the length of rows
        in tokens (None: what suits the requests), `batch` how many such rows, of 512 tokens if nothing is said, a device call reads (None:
        what suits the device). `share=False` reads every request in a row of its own, as is done for models with dilated attention in any
        case. Raises UserError where the model does not say what comes next."""
        check_decodes(model.config)
        if model.tokenizer is None:
            raise UserError("this model has no tokenizer, so it cannot be asked about texts.\n  Name a directory that has one.")
        for name, value in (("row", row), ("batch", batch)):
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}, but must be at least 1.")
        self.tokenizer: BatchTokenizer = model.tokenizer
        if self.tokenizer.vocab > model.config.vocab:
            raise UserError(
                f"the tokenizer has {self.tokenizer.vocab} tokens, but model.vocab is {model.config.vocab}: they are not from one run."
            )
        self.share = share and takes_trees(model.config)
        self.row = row
        self._model, self._weights = model, weights
        self.tokens = (row or 512) * (batch or (4 if jax.default_backend() == "cpu" else 64))
        self._programs: set[tuple] = set()

    @functools.cached_property
    def _reader(self) -> tuple[Params, list[Params], ModelConfig]:
        """The weights as scoring reads them: it compiles one block, which all layers share; and the head in parts."""
        config = replace(self._model.config, expert_capacity=0.0)  # or a score would depend on what is asked beside it
        params, config = prepare_for_decode(self._model.params, config, self._weights, scan=True)
        return params, head_parts(params), config

    @functools.cached_property
    def _writer(self) -> Writer:
        params, config = prepare_for_decode(self._model.params, self._model.config, self._weights)
        return Writer(params, config, self.tokenizer, WRITTEN_AT_ONCE, self._programs)

    @property
    def context(self) -> int:
        """Tokens that the model reads at once."""
        return self._model.config.context

    @property
    def compiled(self) -> int:
        """How many programs this engine has needed so far; the same requests again need no more."""
        return len(self._programs)

    def score(self, requests: Sequence[Continuation], progress: Progress | None = None) -> list[Likelihood]:
        """How likely each continuation is, in order. `progress(done, total)` hears tokens, those read once for several requests once.

        Raises UserError for a continuation without tokens, and where the model's numbers are no numbers.
        """
        return self.answers(asked(self.tokenizer, requests, self._model.config.context), progress)

    def rolling(self, texts: Sequence[str], progress: Progress | None = None) -> list[Likelihood]:
        """How likely each text is from its beginning, in windows of the model's context with one token of context between."""
        return self.answers(asked_of_texts(self.tokenizer, texts, self._model.config.context), progress)

    def write(self, requests: Sequence[Writing], progress: Progress | None = None) -> list[Written]:
        """The texts that the model writes, in order; `progress(done, total)` hears texts. Raises UserError for what cannot be asked."""
        return self._writer.write(requests, progress)

    def answers(self, asked: Sequence[Asked], progress: Progress | None = None) -> list[Likelihood]:
        """How likely requests are that are tokens already, in order."""
        numbers: dict[Path, int] = {}
        for request in asked:
            for path in request.paths:
                numbers.setdefault(path, len(numbers))
        values = self._values(list(numbers), progress)
        return [_likelihood([values[numbers[path]] for path in request.paths], request.cut) for request in asked]

    def _values(self, paths: Sequence[Path], progress: Progress | None) -> dict[int, "Values"]:
        """What each path's targets got."""
        rows = self._rows(paths)
        total, done = sum(len(row.tokens) for row in rows), 0
        found: dict[int, Values] = {}
        pending: tuple[list[Row], Packed, tuple] | None = None
        for batch in [*self._batches(rows), None]:
            started = None if batch is None else self._start(batch)
            if pending is not None:  # read while the next one is computed
                _read(*pending, found)
                done += sum(len(row.tokens) for row in pending[0])
                if progress:
                    progress(done, total)
            pending = started
        return found

    def _rows(self, paths: Sequence[Path]) -> list[Row]:
        if not self.share:
            return single_rows(paths, self._model.config.context)
        if self.row is not None:
            return packed_rows(paths, self.row)
        compiled = {program[-1] for program in self._programs if program[0] == "score"}
        return cheapest_rows(paths, self._model.config, compiled, self.tokens)

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        for T, same in groupby(sorted(rows, key=lambda row: -row.length), key=lambda row: row.length):
            waiting, B = list(same), rows_at_once(T, self.tokens)
            for first in range(0, len(waiting), B):
                yield waiting[first : first + B]

    def _start(self, rows: list[Row]) -> tuple[list[Row], Packed, tuple]:
        T = rows[0].length
        batch = packed(rows, rows_at_once(T, self.tokens), CHUNK)
        tree = Tree(jnp.asarray(batch.positions_BT), jnp.asarray(batch.ends_BT)) if self.share else None
        self._programs.add(("score", *batch.tokens_BT.shape))
        params, parts, config = self._reader
        answers = score_rows(params, parts, config, batch.tokens_BT, tree, batch.states_S, batch.targets_SR, batch.count)
        return rows, batch, answers


@dataclass(frozen=True)
class Values:
    """What a path's targets got."""

    logprobs: np.ndarray
    greedy: bool


def _read(rows: list[Row], batch: Packed, answers: tuple, found: dict[int, Values]) -> None:
    """Adds the answers of a device call to what was found."""
    logprob_SR, likeliest_SR = (np.asarray(answer) for answer in answers)
    if np.isnan(logprob_SR[: batch.count]).any():
        raise UserError("the model's logits are NaN: its weights are damaged or its training diverged.\n  Use an earlier checkpoint.")
    for row, start in zip(rows, batch.starts, strict=True):
        for number, places in row.places.items():
            entries, which = np.array(places).T
            found[number] = Values(logprob_SR[start + entries, which], bool(likeliest_SR[start + entries, which].all()))


def _likelihood(values: Sequence[Values], cut: int) -> Likelihood:
    total = sum(float(value.logprobs.sum(dtype=np.float64)) for value in values)
    return Likelihood(total, sum(len(value.logprobs) for value in values), all(value.greedy for value in values), cut)


@functools.partial(jax.jit, static_argnames=("config",))
def score_rows(
    params: Params, parts: Sequence[Params], config: ModelConfig, tokens_BT, tree: Tree | None, states_S, targets_SR, count
) -> tuple[jax.Array, jax.Array]:
    """For each of the first `count` entries, the log-probabilities f32[S, R] of its targets, and whether each is the likeliest token.
    `parts` are the head's, from `head_parts`."""
    x_ND = flat(forward(params, config, tokens_BT, tree=tree).x_BTD)

    def chunk(number, found):
        first = number * CHUNK
        x_CD = x_ND[jax.lax.dynamic_slice_in_dim(states_S, first, CHUNK)]
        answers = chosen(parts, config, x_CD, jax.lax.dynamic_slice_in_dim(targets_SR, first, CHUNK))
        return tuple(jax.lax.dynamic_update_slice_in_dim(all, new, first, 0) for all, new in zip(found, answers, strict=True))

    S = states_S.shape[0]
    nothing = jnp.zeros((S, ASKED), jnp.float32), jnp.zeros((S, ASKED), bool)
    return jax.lax.fori_loop(0, (count + CHUNK - 1) // CHUNK, chunk, nothing)


def head_parts(params: Params) -> list[Params]:
    """The head as several, of at most PART tokens each, in order; one that is in 8 bits is one part."""
    table_VD, bias_V = head(params)
    whole = {"head": table_VD} if bias_V is None else {"head": table_VD, "head_bias": bias_V}
    if isinstance(table_VD, Turned8):
        return [whole]
    return [{name: rows[a : a + PART] for name, rows in whole.items()} for a in range(0, table_VD.shape[0], PART)]


def chosen(parts: Sequence[Params], config: ModelConfig, x_CD: jax.Array, targets_CR: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The targets' log-probabilities, f32[C, R], and whether no token is likelier. The logits of one part of the head are there at a time
    (the online softmax of Milakov and Gimelshein 2018, section 3), so that they stay in the processor's cache."""
    largest_C1, total_C1 = jnp.full((x_CD.shape[0], 1), -jnp.inf), jnp.zeros((x_CD.shape[0], 1))
    target_CR, first = jnp.zeros(targets_CR.shape, jnp.float32), 0
    for part in parts:
        logits_CV = logits(part, config, x_CD[None])[0]
        V, before_C1 = logits_CV.shape[1], largest_C1
        largest_C1 = jnp.maximum(before_C1, logits_CV.max(-1, keepdims=True))
        total_C1 = total_C1 * jnp.exp(before_C1 - largest_C1) + jnp.exp(logits_CV - largest_C1).sum(-1, keepdims=True)
        index_CR = targets_CR - first
        here_CR = jnp.take_along_axis(logits_CV, jnp.clip(index_CR, 0, V - 1), 1)
        target_CR = jnp.where((index_CR >= 0) & (index_CR < V), here_CR, target_CR)
        first += V
    return target_CR - (largest_C1 + jnp.log(total_C1)), target_CR >= largest_C1
