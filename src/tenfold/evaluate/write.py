"""Texts for an evaluation, in batches through cached decoding. A text depends on its own request, not on its neighbours.

Shapes: B rows of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.paths import BatchTokenizer
from tenfold.evaluate.requests import Writing, Written
from tenfold.generate.complete import Row
from tenfold.generate.config import GenerateConfig
from tenfold.generate.decode import Requests, decode
from tenfold.generate.sampling import row_keys
from tenfold.generate.text import TextStream
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params

ROWS = 16
"""B."""


@dataclass(frozen=True)
class Prompt:
    """A Writing's context, as the model reads it."""

    tokens: tuple[int, ...]
    cut: int


@dataclass(frozen=True)
class Sample:
    """One text to write."""

    request: int
    number: int


def write(
    params: Params,
    config: ModelConfig,
    tokenizer: BatchTokenizer,
    requests: Sequence[Writing],
    programs: set[tuple],
    progress: Callable[[int, int], None] | None = None,
) -> list[Written]:
    """The texts that each request asks for. `params` and `config` come from `prepare_for_decode`; shapes used are added to `programs`.

    Raises UserError naming what a request asks that cannot be.
    """
    prompts = [_prompt(tokenizer, request, config.context) for request in requests]
    samples = [Sample(r, s) for r, request in enumerate(requests) for s in range(request.samples)]
    samples.sort(key=lambda s: (-len(prompts[s.request].tokens), -requests[s.request].max_tokens, s.request, s.number))
    texts: dict[Sample, str] = {}
    for first in range(0, len(samples), ROWS):
        batch = samples[first : first + ROWS]
        texts |= zip(batch, _texts(params, config, tokenizer, requests, prompts, batch), strict=True)
        if progress:
            progress(min(first + ROWS, len(samples)), len(samples))
    return [Written(tuple(texts[Sample(r, s)] for s in range(q.samples)), prompts[r].cut) for r, q in enumerate(requests)]


def _prompt(tokenizer: BatchTokenizer, request: Writing, context: int) -> Prompt:
    """The context's tokens, less those at its left that leave no room for what is written. Refuses requests that cannot be."""
    GenerateConfig(request.max_tokens, request.temperature, stop=request.stop, seed=request.seed)
    if request.samples < 1 or request.beams < 1:
        raise UserError(f"a request asks for {request.samples} samples and {request.beams} beams, but of each at least 1 is needed.")
    room = context - request.max_tokens
    if room < 1:
        raise UserError(
            f"max_tokens is {request.max_tokens}, but the model knows {context} positions (model.context), one of which is read.\n"
            f"  Use at most {context - 1}."
        )
    ids = tokenizer.encode(request.context) or [tokenizer.end_of_text]
    return Prompt(tuple(ids[-room:]), max(0, len(ids) - room))


def _texts(params, config, tokenizer, requests: Sequence[Writing], prompts: Sequence[Prompt], batch: Sequence[Sample]) -> list[str]:
    """The text of each sample of a batch."""
    full = [*batch, *[batch[-1]] * (ROWS - len(batch))]
    asked = [requests[sample.request] for sample in full]
    settings = Requests.of(
        jnp.stack([row_keys(request.seed, sample.number + 1)[-1] for request, sample in zip(asked, full, strict=True)]),
        temperature=[request.temperature for request in asked],
        vocab=tokenizer.vocab,
        end_of_text=tokenizer.end_of_text,
    )
    rows = [Row(tokenizer, TextStream(request.stop), _nobody) for request in asked[: len(batch)]]
    done_B = np.arange(ROWS) >= len(batch)
    most = max(request.max_tokens for request in asked)
    for tokens_BC in decode(params, config, [prompts[sample.request].tokens for sample in full], settings, most, done_B):
        for number, row in enumerate(rows):
            row.add(tokens_BC[number, : asked[number].max_tokens - len(row.tokens)].tolist())
            if row.finish_reason is None and len(row.tokens) == asked[number].max_tokens:
                row.finish("length")
            done_B[number] = row.finish_reason is not None
    return ["".join(row.pieces) for row in rows]


def _nobody(piece: str) -> None:
    """Hears the pieces: nobody waits for them."""
