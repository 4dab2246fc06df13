"""Beam search on the cache: of the likeliest beginnings of a text, the W best are written on at once.

A step extends each of W beams by its 2W likeliest tokens. Of all these candidates the 2W best are looked at: those that end (end_of_text,
or a stop string is complete) are finished texts, and the first W of the others are the next beams; their rows of the cache are put in
order on the device. A text's score is log P / ((5 + tokens) / 6)^a (Wu et al. 2016, equation 14, without its coverage), where the tokens
are all that were drawn, the end among them. The search ends when no beam can come to a better score than the best finished text, or at
`max_tokens`, where beams count as finished.

Shapes: B prompts, W beams of each, R = B W rows of the cache, N = 2 W candidates of a row, V vocab.
"""

import codecs
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.errors import UserError
from tenfold.generate.complete import FinishReason, TextTokenizer
from tenfold.generate.decode import bucket, check_room, only_tokens, padded
from tenfold.generate.text import first_stop
from tenfold.model.cache import Cache, empty_cache, in_order
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params
from tenfold.model.transformer import forward, logits


@dataclass(frozen=True)
class Search:
    """What is searched for after one prompt."""

    max_tokens: int = 64
    length_penalty: float = 0.6
    """a; 0: the likeliest text, which is a short one."""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A text that beam search found."""

    text: str
    """Without the stop string, and in whole characters."""
    tokens: tuple[int, ...]
    """All that were drawn but end_of_text."""
    logprob: float
    """Of all that were drawn."""
    score: float
    finish_reason: FinishReason


@dataclass(frozen=True)
class Beam:
    """A beginning that is written on."""

    tokens: tuple[int, ...] = ()
    logprob: float = 0.0


@dataclass
class Hunt:
    """The search after one prompt, while it lasts."""

    search: Search
    width: int
    tokenizer: TextTokenizer
    beams: list[Beam] = field(default_factory=lambda: [Beam()])
    best: Found | None = None

    @property
    def over(self) -> bool:
        """Whether nothing that is still written can be better than what was found."""
        if not self.beams or self.best is None:
            return not self.beams
        first, most = self.beams[0], self.search.max_tokens
        reachable = [first.logprob / self._penalty(count) for count in (len(first.tokens) + 1, most)]
        return max(reachable) <= self.best.score

    def step(self, tokens_WN: np.ndarray, logprob_WN: np.ndarray) -> list[int]:
        """Takes each beam's likeliest next tokens; returns, for each of the next beams, which of the old ones it extends."""
        total_WN = np.array([beam.logprob for beam in self.beams])[:, None] + logprob_WN[: len(self.beams)].astype(np.float64)
        order = np.argsort(-total_WN, axis=None, kind="stable")[: 2 * self.width]
        beams: list[Beam] = []
        parents: list[int] = []
        for parent, rank in zip(*np.unravel_index(order, total_WN.shape), strict=True):
            token, logprob = int(tokens_WN[parent, rank]), float(total_WN[parent, rank])
            tokens = self.beams[parent].tokens
            if logprob == -np.inf:
                continue
            if token == self.tokenizer.end_of_text:
                self._finish(tokens, self._text(tokens), logprob, len(tokens) + 1, "end_of_text")
            elif (end := first_stop(text := self._text((*tokens, token)), self.search.stop)) is not None:
                self._finish((*tokens, token), text[:end], logprob, len(tokens) + 1, "stop")
            elif len(beams) < self.width:
                beams.append(Beam((*tokens, token), logprob))
                parents.append(int(parent))
        self.beams = beams
        if beams and len(beams[0].tokens) == self.search.max_tokens:
            for beam in beams:
                self._finish(beam.tokens, self._text(beam.tokens), beam.logprob, len(beam.tokens), "length")
            self.beams = []
        return parents

    def _finish(self, tokens: tuple[int, ...], text: str, logprob: float, count: int, reason: FinishReason) -> None:
        score = logprob / self._penalty(count)
        if self.best is None or score > self.best.score:
            self.best = Found(text, tokens, logprob, score, reason)

    def _penalty(self, count: int) -> float:
        return ((5 + count) / 6) ** self.search.length_penalty

    def _text(self, tokens: Sequence[int]) -> str:
        """In whole characters, but for bytes that are none."""
        return codecs.getincrementaldecoder("utf-8")("replace").decode(self.tokenizer.decode_bytes(tokens))


def beam_search(
    params: Params,
    config: ModelConfig,
    tokenizer: TextTokenizer,
    prompts: Sequence[Sequence[int]],
    searches: Sequence[Search],
    width: int,
    sizes: tuple[int, int] | None = None,
) -> list[Found]:
    """The best text after each prompt. `params` and `config` come from `prepare_for_decode`; `sizes` as in `decode`.

    Raises UserError where a prompt leaves no room, and where the model's numbers are no numbers.
    """
    if width < 1:
        raise UserError(f"beam search has a width of {width}, but needs at least 1.")
    lengths, most = [len(p) for p in prompts], max(search.max_tokens for search in searches)
    check_room(config, lengths, most)
    P = bucket(max(lengths), config.context)
    P, S = sizes or (P, bucket(max(P, max(lengths) + most), config.context, least=64, steps=8))
    hunts = [Hunt(search, width, tokenizer) for search in searches]
    vocab = jnp.int32(tokenizer.vocab)
    cache, tokens_RN, logprob_RN = prefill_beams(params, config, S, padded(prompts, P), np.array(lengths, np.int32), vocab, width)
    while True:
        parent_R, token_R = np.arange(len(hunts) * width, dtype=np.int32), np.zeros(len(hunts) * width, np.int32)
        tokens, logprobs = np.asarray(tokens_RN), np.asarray(logprob_RN)
        for number, hunt in enumerate(hunts):
            first = number * width
            if hunt.over:
                continue
            if np.isnan(logprobs[first]).any():
                raise UserError(
                    "the model's logits are NaN: its weights are damaged or its training diverged.\n  Use an earlier checkpoint."
                )
            parents = hunt.step(tokens[first : first + width], logprobs[first : first + width])
            for place, (parent, beam) in enumerate(zip(parents, hunt.beams, strict=False)):
                parent_R[first + place], token_R[first + place] = first + parent, beam.tokens[-1]
        if all(hunt.over for hunt in hunts):
            return [hunt.best for hunt in hunts if hunt.best is not None]
        cache, tokens_RN, logprob_RN = extend_beams(params, config, cache, parent_R, token_R, vocab, width)


@functools.partial(jax.jit, static_argnames=("config", "positions", "width"))
def prefill_beams(params: Params, config: ModelConfig, positions: int, tokens_BP, length_B, vocab, width: int):
    """Reads the prompts: the cache with each prompt's row W times, and after each row the likeliest tokens as `extend_beams`."""
    x_BPD, cache, _ = forward(params, config, tokens_BP, cache=empty_cache(config, tokens_BP.shape[0], positions), real_B=length_B)
    assert cache is not None
    last_B1D = jnp.take_along_axis(x_BPD, (length_B - 1)[:, None, None], axis=1)
    row_R = jnp.repeat(jnp.arange(length_B.shape[0]), width)
    tokens_BN, logprob_BN = likeliest(params, config, last_B1D, vocab, width)
    return in_order(Cache(cache.layers, jnp.asarray(length_B)), row_R), tokens_BN[row_R], logprob_BN[row_R]


@functools.partial(jax.jit, static_argnames=("config", "width"), donate_argnames=("cache",))
def extend_beams(params: Params, config: ModelConfig, cache: Cache, parent_R, token_R, vocab, width: int):
    """Row r becomes row parent_R[r] with token_R[r] after it: the cache, and its likeliest next tokens and their log-probabilities, int32
    and f32 [R, N]."""
    x_R1D, cache_after, _ = forward(params, config, token_R[:, None], cache=in_order(cache, parent_R))
    return cache_after, *likeliest(params, config, x_R1D, vocab, width)


def likeliest(params: Params, config: ModelConfig, x_R1D: jax.Array, vocab: jax.Array, width: int) -> tuple[jax.Array, jax.Array]:
    """The 2W likeliest tokens and their log-probabilities; ids that are no token have -inf."""
    logprob_RV = only_tokens(jax.nn.log_softmax(logits(params, config, x_R1D)[:, 0]), vocab)
    logprob_RN, tokens_RN = jax.lax.top_k(logprob_RV, min(2 * width, config.vocab))
    return tokens_RN, logprob_RN
