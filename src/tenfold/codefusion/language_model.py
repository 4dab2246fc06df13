"""A language model that has been taught to answer texts with code, beside the models of this room: `tenfold align sft` on the same pairs.

It is asked by its chat template, token by token as any autoregressive model here, and its bound is -log p of the code and its end as it
encodes them: nothing is bounded, so `rank_by` says only that it is computed. What is asked beside a text changes its samples by no more
than the rounding of sums does.
Shapes: N texts, B rows, P tokens of a prompt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tenfold.align.chat import Chat
from tenfold.align.templates import find_template
from tenfold.codefusion.model import outside_tables
from tenfold.codefusion.run import trained_on
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.snippets import Snippet, Writer
from tenfold.convert.hugging_face import is_checkpoint
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.evaluate import paths
from tenfold.evaluate.engine import Engine
from tenfold.evaluate.run import digests
from tenfold.generate.complete import check_decodes
from tenfold.generate.decode import Requests, bucket, decode_chunk, prefill_once, prepare_for_decode
from tenfold.generate.turns import TURN, Turns, rows_at_once, write_in_turns
from tenfold.model.config import ModelConfig
from tenfold.model.params import Params, model_params, parameter_count
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig
from tenfold.tokens.tokenizer import Tokenizer
from tenfold.train.checkpoint import Checkpoints
from tenfold.train.run import read_run
from tenfold.train.start import open_trained

LONGEST = 128
"""Tokens that are written at most, as in the paper."""
AHEAD, SHORT = 16, 32
"""Texts that are read at once, and tokens of the shortest bucket of prompts."""


@dataclass(frozen=True)
class LanguageModel(Writer):
    """A trained language model, and how it is asked."""

    config: ModelConfig
    params: Params
    chat: Chat

    @property
    def kind(self) -> str:
        return "autoregressive"

    @property
    def all_steps(self) -> int:
        return LONGEST

    @property
    def tokenizer(self) -> Tokenizer:
        return self.chat.tokenizer

    @property
    def room(self) -> int:
        """Tokens of a prompt that it reads."""
        return self.config.context - LONGEST

    def _written(self, texts, how: Sampling, given, holes: int, place_N: np.ndarray, cut: bool, near):
        """As `Writer._written`."""
        texts = self._cut(texts, cut)
        drawn = self._drawn(texts, place_N, how)
        own = self._snippets(texts, [[self.tokenizer.decode(ids) for ids in group] for group in drawn], drawn, how)
        if near is None:
            return own, None
        codes = [[each.code for each in group] for group in near]
        return own, self._snippets(texts, codes, [self.tokenizer.encode_batch(group) for group in codes], how)

    def _snippets(self, texts, codes: Sequence[Sequence[str]], tokens, how: Sampling) -> list[list[Snippet]]:
        groups = zip(codes, tokens, self._nats(texts, codes, how), strict=True)
        return [[Snippet(code, ids, nats, [code]) for code, ids, nats in zip(*each, strict=True)] for each in groups]

    def bounds(self, texts: Sequence[str], codes: Sequence[Sequence[str]], how: Sampling, cut: bool = False) -> list[list[float | None]]:
        """As `Writer.bounds`."""
        return self._nats(self._cut(texts, cut), codes, how)

    def too_long(self, texts: Sequence[str]) -> int:
        """As `Writer.too_long`."""
        return sum(len(self._prompt(text)) > self.room for text in texts)

    def program_bytes(self, how: Sampling) -> int | None:
        """As `Writer.program_bytes`, of the step that writes, behind prompts of the shortest bucket."""
        params, config = self._weights
        slots = rows_at_once(how.batch)
        prompts = jax.ShapeDtypeStruct((slots, SHORT), jnp.int32), jax.ShapeDtypeStruct((slots,), jnp.int32)
        state = jax.eval_shape(lambda *asked: prefill_once(params, config, SHORT + LONGEST, *asked), *prompts)
        requests = Requests.of(jax.random.split(jax.random.key(0), slots), vocab=self.tokenizer.vocab)
        found = decode_chunk.lower(params, config, state, requests, TURN).compile().memory_analysis()
        return found and int(found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes)

    @cached_property
    def _weights(self) -> tuple[Params, ModelConfig]:
        """As decoding reads them."""
        return prepare_for_decode(self.params, self.config)

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self, "as trained")

    def _prompt(self, text: str) -> list[int]:
        return self.chat.prompt([{"role": "user", "content": text}])

    def _cut(self, texts: Sequence[str], cut: bool) -> list[str]:
        """The texts, those that are too long cut at their end."""
        found = []
        for number, text in enumerate(texts, 1):
            short = self._shortened(text)
            if short != text and not cut:
                raise UserError(
                    f"text {number} of {len(texts)} makes a prompt of {len(self._prompt(text))} tokens, but the model reads {self.room} "
                    f"(model.context, less {LONGEST} to write).\n  Shorten it to its first {len(short)} letters: ... {short[-40:]!r}"
                )
            found.append(short)
        return found

    def _shortened(self, text: str) -> str:
        ids = self.tokenizer.encode(text)
        while (over := len(self._prompt(text)) - self.room) > 0:
            ids = ids[: -max(1, over)]
            text = self.tokenizer.decode(ids)
        return text

    def _drawn(self, texts: Sequence[str], place_N: np.ndarray, how: Sampling) -> list[list[list[int]]]:
        """For each text, the tokens of each draw before its end."""
        count, prompts = how.draws or how.samples, [self._prompt(text) for text in texts]
        keys_ND = _keys(how.seed, place_N, np.arange(count))
        found: dict[int, list[list[int]]] = {}
        for P, some in _of_one_size([bucket(len(ids), self.room, least=SHORT) for ids in prompts]):
            read = [prompts[n] for n in some + some[-1:] * (AHEAD - len(some))]  # so that one program reads them all
            prompt_R, keys_R = np.repeat(np.arange(len(some)), count), keys_ND[np.array(some)].reshape(-1)
            turns = Turns(how.temperature, self.tokenizer.vocab, self.chat.stop, LONGEST, P, rows_at_once(how.batch))
            rows = write_in_turns(*self._weights, read, prompt_R, keys_R, turns)
            found |= {n: rows[first : first + count] for n, first in zip(some, range(0, len(rows), count), strict=True)}
        return [found[n] for n in range(len(texts))]

    def _nats(self, texts: Sequence[str], codes: Sequence[Sequence[str]], how: Sampling) -> list[list[float | None]]:
        """-log p of each code and its end; None of one that is too long, and of all where nothing is ranked."""
        if not how.rank_by:
            return [[None for _ in group] for group in codes]
        asked = [(n, code) for n, group in enumerate(codes) for code in group]
        asked_paths = [self._path(texts[n], code) for n, code in asked]
        fits = [n for n, path in enumerate(asked_paths) if len(path.tokens) <= self.config.context]
        found = self._engine.answers([paths.Asked([asked_paths[n]], 0) for n in fits])
        nats = dict(zip(fits, (-each.total for each in found), strict=True))
        rest = iter(range(len(asked)))
        return [[nats.get(next(rest)) for _ in group] for group in codes]

    def _path(self, text: str, code: str) -> paths.Path:
        """A text's prompt and the code after it, its end asked for too."""
        ids, written = self.chat.encode([{"role": "user", "content": text}, {"role": "assistant", "content": code}])
        first, end = written.index(True), len(written) - written[::-1].index(True)
        return paths.Path(tuple(ids[: end - 1]), tuple(ids[first:end]))


def _of_one_size(sizes: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Each size and numbers of that size, up to AHEAD at a time."""
    for size, same in groupby(sorted(range(len(sizes)), key=lambda n: (sizes[n], n)), key=lambda n: sizes[n]):
        waiting = list(same)
        for first in range(0, len(waiting), AHEAD):
            yield size, waiting[first : first + AHEAD]


@partial(jax.jit, static_argnums=0)
def _keys(seed: int, place_N, draw_D) -> jax.Array:
    """A key for each draw of each text, [N, D]: by the text's own number and the draw's, as in generate.py."""
    key = jax.random.key(seed)
    return jax.vmap(lambda place: jax.vmap(lambda draw: jax.random.fold_in(jax.random.fold_in(key, place), draw))(draw_D))(place_N)


def is_language_model(path: Path) -> bool:
    """Whether a path is a language model's, a run or another's files, and not one of this room's runs."""
    if not (path / "recipe.yaml").exists():
        return path.suffix == ".gguf" or is_checkpoint(path)
    try:
        read_run(path)
    except UserError:
        return False
    return True


def open_language_model(path: Path) -> tuple[LanguageModel, dict[str, Any]]:
    """The model of a run of `align sft`, of a Hugging Face directory or of a .gguf, on this process's first device, and who it is, as
    `Candidate.about`. Raises UserError where it cannot be asked."""
    start = open_trained(path, "bfloat16")
    tokenizer = start.tokenizer()
    if tokenizer is None:
        raise UserError(f"{path} has no tokenizer.\n  Name a model that has one.")
    if start.chat_template is None:
        raise UserError(f"{path} has no chat template, so nothing says how it is asked.\n  Teach it first: tenfold align sft {path} ...")
    check_decodes(start.config)
    if start.config.context <= LONGEST:
        raise UserError(
            f"{path} knows {start.config.context} positions (model.context), but code takes up to {LONGEST}.\n  Use a model of more."
        )
    params = start.params(make_mesh(MeshConfig(), jax.local_devices()[:1]))
    chat = Chat(find_template("model", start.chat_template, str(path)), tokenizer)
    about = {
        "run": str(path),
        "kind": "language model",
        "step": _step(path),
        "parameters": parameter_count(start.config),
        "without_tables": outside_tables(model_params(start.config)),
        "fingerprint": fingerprint(digests(params), repr(start.config), start.chat_template),
        "tokenizer": tokenizer.fingerprint,
        "reader": None,
        "words": None,
        "trained_on": trained_on(path, read_run),
    }
    return LanguageModel(start.config, params, chat), about


def _step(path: Path) -> int | None:
    """Of a run, the step that its newest weights are of."""
    if not (path / "recipe.yaml").exists():
        return None
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.steps()[-1]
