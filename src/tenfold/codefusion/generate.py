"""Texts in, snippets out: batches of one size, whatever is asked for, so that one program samples them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.codefusion.bound import bound
from tenfold.codefusion.config import FusionConfig
from tenfold.codefusion.drafts import draft
from tenfold.codefusion.model import Text
from tenfold.codefusion.reader import Reader
from tenfold.codefusion.retrieval import Found
from tenfold.codefusion.rows import closed, text_rows, trimmed
from tenfold.codefusion.run import read_fusion_run
from tenfold.codefusion.sample import FREE, Asked, sample_fusion
from tenfold.codefusion.sample_tokens import sample_autoregressive, sample_masked
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.slots import Slotted, filled, slotted, with_slots
from tenfold.codefusion.snippets import Snippet, Writer
from tenfold.errors import UserError
from tenfold.model.params import Params
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer

HOLE = "<hole>"
"""In a snippet that is given in part, where tokens are to be found."""


@dataclass(frozen=True)
class FusionModel(Writer):
    """A trained model that writes code."""

    config: FusionConfig
    params: Params
    tokenizer: Tokenizer
    words: frozenset[str] | None = None
    """Those that it knows; the others of a text are slots. None: nothing is."""
    reader: Reader | None = None
    """The language model that reads the texts too, if any."""

    @property
    def kind(self) -> str:
        return self.config.kind

    @property
    def all_steps(self) -> int:
        return self.config.all_steps

    def slotted(self, texts: Sequence[str]) -> list[Slotted]:
        """The texts as the model reads them."""
        return [Slotted(text, {}) if self.words is None else slotted(text, self.words) for text in texts]

    def _written(self, texts, how: Sampling, given, holes: int, place_N: np.ndarray, cut: bool, near):
        """As `Writer._written`."""
        read = self.slotted(texts)
        text = self._text(texts, read, cut)
        given_BT = np.full((len(texts), self.config.length), FREE, np.int32)
        if given is not None:
            given_BT = self._given(given, read, holes)
        drawn = how.draws or how.samples
        rows = [(n, sample) for n in range(len(texts)) for sample in range(drawn)]
        found = np.concatenate(
            [self._batch(how, text, given_BT, place_N, rows[n : n + how.batch]) for n in range(0, len(rows), how.batch)], 1
        )
        found = closed(found, (given_BT == FREE)[[n for n, _ in rows]], self.tokenizer.end_of_text)
        bounds: Sequence[float | None] = [None] * len(rows)
        if how.rank_by:
            bounds = self._bounds(how, text, found[-1], rows)
        snippets = [self._snippet(found[:, row], bounds[row], read[text].slots) for row, (text, _) in enumerate(rows)]
        return [snippets[n : n + drawn] for n in range(0, len(snippets), drawn)], near and self._drafts(how, near, read, text)

    def _drafts(self, how: Sampling, near: Sequence[Sequence[Found]], read: Sequence[Slotted], text: Text) -> list[list[Snippet]]:
        """The codes of each text's nearest ones, nearest first, with their bounds; of those that are too long, without."""
        codes = [[draft(each, read[n], self.words) for each in group] for n, group in enumerate(near)]
        judged = self._judged(how, text, codes)
        return [
            [Snippet(written := filled(code, read[n].slots), ids, nats, [written]) for code, (ids, nats) in zip(group, own, strict=True)]
            for n, (group, own) in enumerate(zip(codes, judged, strict=True))
        ]

    def bounds(self, texts: Sequence[str], codes: Sequence[Sequence[str]], how: Sampling, cut: bool = False) -> list[list[float | None]]:
        """As `Writer.bounds`."""
        read = self.slotted(texts)
        text = self._text(texts, read, cut)
        own = [[with_slots(code, each.slots) for code in group] for each, group in zip(read, codes, strict=True)]
        return [[nats for _, nats in group] for group in self._judged(how, text, own)]

    def _judged(self, how: Sampling, text: Text, codes: Sequence[Sequence[str]]) -> list[list[tuple[list[int], float | None]]]:
        """The tokens and the bound of each text's codes, which have slots where the text has; of those that are too long, no bound."""
        asked = [(n, code) for n, group in enumerate(codes) for code in group]
        encoded = self.tokenizer.encode_batch([code for _, code in asked])
        fits = [number for number, ids in enumerate(encoded) if len(ids) <= self.config.length]
        code_BT = np.full((len(fits), self.config.length), self.tokenizer.end_of_text, np.int32)
        for row, number in enumerate(fits):
            code_BT[row, : len(encoded[number])] = encoded[number]
        nats = dict(zip(fits, self._bounds(how, text, code_BT, [asked[number] for number in fits]), strict=True))
        found: list[list[tuple[list[int], float | None]]] = [[] for _ in codes]
        for number, (n, _) in enumerate(asked):
            found[n].append((encoded[number], nats.get(number)))
        return found

    def too_long(self, texts: Sequence[str]) -> int:
        """As `Writer.too_long`."""
        return sum(len(ids) >= self.config.text_length for ids in self.tokenizer.encode_batch([each.text for each in self.slotted(texts)]))

    def _text(self, texts: Sequence[str], read: Sequence[Slotted], cut: bool) -> Text:
        states_BRH = self.reader.states(texts) if self.reader else None
        return text_rows(self._encoded([each.text for each in read], cut), self.config, self.tokenizer.end_of_text, states_BRH)

    def _batch(self, how: Sampling, text: Text, given_BT, place_B, rows) -> np.ndarray:
        """int32[F, len(rows), T]; what is missing to a whole batch is filled up with the last row."""
        texts, samples = np.array([rows[min(n, len(rows) - 1)] for n in range(how.batch)]).T
        key = jax.random.key(how.seed)
        key_B = jax.vmap(lambda place, sample: jax.random.fold_in(jax.random.fold_in(key, place), sample))(
            jnp.asarray(place_B[texts]), jnp.asarray(samples)
        )
        asked = Asked(text.take(texts), jnp.asarray(given_BT[texts]), key_B)
        sampler, rest = self._sampler(how)
        return np.asarray(sampler(self.params, self.config, asked, *rest))[:, : len(rows)]

    def _sampler(self, how: Sampling) -> tuple[Any, tuple]:
        """The program that samples models of this kind, and what it takes after what is asked."""
        match self.config.kind:
            case "codefusion":
                return sample_fusion, (how.compiled,)
            case "masked":
                return sample_masked, (how.compiled,)
            case "autoregressive":
                return sample_autoregressive, (how.compiled, jnp.int32(self.tokenizer.end_of_text))

    def program_bytes(self, how: Sampling) -> int | None:
        """As `Writer.program_bytes`."""
        B, config = how.batch, self.config
        ids_BS = jnp.zeros((B, config.text_length), jnp.int32)
        states = jnp.ones((B, self.reader.tokens, config.reader_width), jnp.float16) if self.reader else None
        keys = jax.random.split(jax.random.key(0), B)
        asked = Asked(Text(ids_BS, ids_BS == 0, states), jnp.full((B, config.length), FREE, jnp.int32), keys)
        sampler, rest = self._sampler(how)
        found = sampler.lower(self.params, config, asked, *rest).compile().memory_analysis()
        return found and int(found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes)

    def _bounds(self, how: Sampling, text: Text, code_BT, rows) -> list[float]:
        pad, found = self.tokenizer.end_of_text, []
        texts = np.array([n for n, _ in rows])
        for first in range(0, len(rows), how.batch):
            at = np.minimum(np.arange(first, first + how.batch), len(rows) - 1)
            asked = (text.take(texts[at]), jnp.asarray(code_BT[at]))
            found += bound(self.params, self.config, *asked, jnp.uint32(how.seed), jnp.int32(pad), how.rank_by).tolist()
        return found[: len(rows)]

    def _snippet(self, frames_FT, nats: float | None, slots: Mapping[str, str]) -> Snippet:
        tokens = [trimmed(tokens_T, self.tokenizer.end_of_text) for tokens_T in frames_FT]
        codes = [filled(self.tokenizer.decode([id for id in ids if id < self.tokenizer.vocab]), slots) for ids in tokens]
        return Snippet(codes[-1], tokens[-1], nats, codes)

    def _encoded(self, texts: Sequence[str], cut: bool) -> list[list[int]]:
        encoded = self.tokenizer.encode_batch(list(texts))
        for number, (text, ids) in enumerate(zip(texts, encoded, strict=True), 1):
            if len(ids) >= self.config.text_length and not cut:
                most = self.config.text_length - 1
                last = len(self.tokenizer.decode(ids[:most]))
                raise UserError(
                    f"text {number} of {len(texts)} has {len(ids)} tokens, but the model reads {most} (model.text_length, less its end).\n"
                    f"  Shorten it to about its first {last} letters: ... {text[max(0, last - 40) : last]!r}"
                )
        return encoded

    def _given(self, given: Sequence[str], read: Sequence[Slotted], holes: int) -> np.ndarray:
        """int32[B, T]: the tokens of each snippet's parts, FREE in its holes, and pads after its end."""
        if len(given) != len(read):
            raise UserError(f"{len(given)} snippets are given for {len(read)} texts: give one for each.")
        if holes < 1:
            raise UserError(f"holes is {holes}, but must be at least 1: the tokens to be found at each {HOLE}.")
        given_BT = np.full((len(read), self.config.length), self.tokenizer.end_of_text, np.int32)
        for row, snippet in enumerate(given):
            parts = self.tokenizer.encode_batch([with_slots(part, read[row].slots) for part in snippet.split(HOLE)])
            ids = [id for n, part in enumerate(parts) for id in [*([FREE] * holes if n else []), *part]]
            if FREE not in ids:
                raise UserError(f"snippet {row + 1} is {snippet!r}, which has no {HOLE}: there is nothing to find.")
            if len(ids) > self.config.length:
                raise UserError(
                    f"snippet {row + 1} has {len(ids)} tokens with its holes, but the model writes {self.config.length} (model.length).\n"
                    "  Shorten it, or make the holes smaller."
                )
            given_BT[row, : len(ids)] = ids
            if snippet.endswith(HOLE):
                given_BT[row, len(ids) :] = FREE  # an open end is as long as it takes
        return given_BT


def load_fusion(path: str) -> FusionModel:
    """A trained run on this process's first device, f32. Raises UserError where there is none."""
    run = read_fusion_run(path)
    params, _ = run.params(make_mesh(MeshConfig(), jax.local_devices()[:1]))
    return FusionModel(run.recipe.model, params, run.tokenizer(), run.words(), run.reader())
