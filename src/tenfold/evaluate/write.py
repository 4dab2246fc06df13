"""Texts for an evaluation, in batches through cached decoding. A text depends on its own request, not on its neighbours.

Batches hold texts whose prompts are of similar length, and the cache's size follows from the prompts' bucket: few programs are compiled.
Shapes: B rows of a batch, P and S the buckets of prompts and cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.evaluate.paths import BatchTokenizer
from tenfold.evaluate.requests import Writing, Written
from tenfold.generate.beam import Search, beam_search
from tenfold.generate.complete import Row
from tenfold.generate.config import GenerateConfig
from tenfold.generate.decode import Requests, bucket, decode
from tenfold.generate.text import TextStream
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params


@dataclass(frozen=True)
class Text:
    """One text to write."""

    request: Writing
    prompt: tuple[int, ...]
    place: tuple[int, int]
    """The number of its request, and of the sample."""

    def size(self, context: int) -> tuple[int, int]:
        """P and S."""
        P = bucket(len(self.prompt), context, least=64)
        return P, bucket(max(P, min(P + self.request.max_tokens, context)), context, least=64)


@dataclass(frozen=True)
class Writer:
    """A model ready to write, `rows` texts at once. `params` and `config` come from `prepare_for_decode`."""

    params: Params
    config: ModelConfig
    tokenizer: BatchTokenizer
    rows: int
    programs: set[tuple]
    """Shapes that were compiled are added to it."""

    def write(self, requests: Sequence[Writing], progress: Callable[[int, int], None] | None = None) -> list[Written]:
        """The texts that each request asks for. Raises UserError naming what a request asks that cannot be."""
        prompts = [self._prompt(request) for request in requests]
        texts = [Text(q, prompts[r][0], (r, s)) for r, q in enumerate(requests) for s in range(q.samples)]
        found: dict[tuple[int, int], str] = {}
        for batch in self._batches(texts):
            written = self._sampled(batch) if batch[0].request.beams == 1 else self._searched(batch)
            found |= zip((text.place for text in batch), written, strict=True)
            if progress:
                progress(len(found), len(texts))
        return [Written(tuple(found[r, s] for s in range(q.samples)), prompts[r][1]) for r, q in enumerate(requests)]

    def _prompt(self, request: Writing) -> tuple[tuple[int, ...], int]:
        """The context's tokens that leave room for what is written, and how many at its left do not. Refuses requests that cannot be."""
        GenerateConfig(request.max_tokens, request.temperature, stop=request.stop, seed=request.seed)
        if request.samples < 1 or request.beams < 1:
            raise UserError(f"a request asks for {request.samples} samples and {request.beams} beams, but needs at least 1 of each.")
        if request.beams > 1 and (request.samples > 1 or request.temperature > 0):
            raise UserError(
                f"a request asks for {request.beams} beams, {request.samples} samples and temperature {request.temperature}, but "
                "beam search draws nothing and gives one text.\n  Use 1 sample and temperature 0, or 1 beam."
            )
        room = self.config.context - request.max_tokens
        if room < 1:
            raise UserError(
                f"max_tokens is {request.max_tokens}, but the model knows {self.config.context} positions (model.context), and reads at "
                f"least one.\n  Use at most {self.config.context - 1}."
            )
        ids = self.tokenizer.encode(request.context) or [self.tokenizer.end_of_text]
        return tuple(ids[-room:]), max(0, len(ids) - room)

    def _batches(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        """Texts of one number of beams and one size, longest prompts first."""

        def kind(text: Text) -> tuple[int, tuple[int, int]]:
            return text.request.beams, text.size(self.config.context)

        order = sorted(texts, key=lambda text: (kind(text), text.request.max_tokens, len(text.prompt), text.place), reverse=True)
        for (beams, _), same in groupby(order, kind):
            waiting, B = list(same), max(1, self.rows // beams)
            for first in range(0, len(waiting), B):
                yield waiting[first : first + B]

    def _sampled(self, batch: Sequence[Text]) -> list[str]:
        """A text for each, drawn with keys of their own."""
        full = [*batch, *[batch[-1]] * (self.rows - len(batch))]
        settings = Requests.of(
            jnp.stack([jax.random.fold_in(jax.random.key(text.request.seed), text.place[1]) for text in full]),  # as `row_keys`
            temperature=[text.request.temperature for text in full],
            vocab=self.tokenizer.vocab,
            end_of_text=self.tokenizer.end_of_text,
        )
        rows = [Row(self.tokenizer, TextStream(text.request.stop), _nobody) for text in batch]
        done_B = np.arange(self.rows) >= len(batch)
        sizes = self._sizes(batch)
        most = max(text.request.max_tokens for text in batch)
        self.programs.add(("write", self.rows, *sizes))
        for tokens_BC in decode(self.params, self.config, [text.prompt for text in full], settings, most, done_B, sizes):
            for number, (row, text) in enumerate(zip(rows, batch, strict=True)):
                if row.finish_reason is None:
                    row.add(tokens_BC[number, : text.request.max_tokens - len(row.tokens)].tolist())
                if row.finish_reason is None and len(row.tokens) == text.request.max_tokens:
                    row.finish("length")
                done_B[number] = row.finish_reason is not None
        return ["".join(row.pieces) for row in rows]

    def _searched(self, batch: Sequence[Text]) -> list[str]:
        """The best text for each."""
        beams = batch[0].request.beams
        full = [*batch, *[batch[-1]] * (max(1, self.rows // beams) - len(batch))]
        searches = [Search(q.max_tokens, q.length_penalty, q.stop) for q in (text.request for text in full)]
        sizes = self._sizes(batch)
        self.programs.add(("beams", len(full), beams, *sizes))
        found = beam_search(self.params, self.config, self.tokenizer, [text.prompt for text in full], searches, beams, sizes)
        return [each.text for each in found[: len(batch)]]

    def _sizes(self, batch: Sequence[Text]) -> tuple[int, int]:
        return batch[0].size(self.config.context)


def _nobody(piece: str) -> None:
    """Hears the pieces: nobody waits for them."""
