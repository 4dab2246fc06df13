"""What is written for a text, by whatever model, and in which order it is answered."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.codefusion.drafts import fused
from tenfold.codefusion.meaning import Meanings, by_meaning, nats
from tenfold.codefusion.retrieval import Found, Retrieval
from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError


@dataclass(frozen=True)
class Snippet:
    """What was written for a text."""

    code: str
    tokens: list[int]
    """Before the first pad."""
    bound: float | None
    """An upper bound of -log p(code | text) in nats, where samples are ranked; None of code that is too long for the model."""
    frames: list[str]
    """How the snippet looked on the way; the last is `code`."""


class Writer(ABC):
    """A model that writes code: generate.FusionModel, or language_model.LanguageModel."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Of settings.OTHERS: what it can be asked. Bounds of models of one kind can be compared."""

    @property
    @abstractmethod
    def all_steps(self) -> int:
        """Passes that it takes at most."""

    def generate(
        self,
        texts: Sequence[str],
        how: Sampling | None = None,
        given: Sequence[str] | None = None,
        holes: int = 8,
        places: Sequence[int] | None = None,
        cut: bool = False,
        near: Retrieval | None = None,
        meanings: Meanings | None = None,
    ) -> list[list[Snippet]]:
        """`how.samples` snippets for each text, the likeliest first where they are ranked; with `how.draws`, of so many the likeliest that
        differ, and copies of these only where too few do.

        `given` says what is known of each snippet: code with HOLE where tokens are to be found, `holes` of them at each. `places` are the
        numbers that each text's randomness goes by; None: 0, 1, 2, ... `cut`: texts that are too long are cut, as they are in training.
        `near` is where `how.retrieved` codes of each text's nearest ones come from; then fewer than `how.samples` come back where there are
        not so many different ones. `meanings` are how `how.distinct` tells codes apart, where it is by meaning.
        Raises UserError for a text or a snippet that is too long, and for settings that the model has none of.
        """
        how = how or Sampling()
        self._check(how, given, near, meanings)
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise UserError(f"text {number} of {len(texts)} is empty.\n  Say what the code should do.")
        found = near.answers(texts, how.retrieved) if near is not None and how.retrieved else None
        place_N = np.arange(len(texts)) if places is None else np.asarray(places)
        return _best_first(*self._written(texts, how, given, holes, place_N, cut, found), how, meanings)

    @abstractmethod
    def _written(
        self,
        texts: Sequence[str],
        how: Sampling,
        given: Sequence[str] | None,
        holes: int,
        place_N: np.ndarray,
        cut: bool,
        near: Sequence[Sequence[Found]] | None,
    ) -> tuple[list[list[Snippet]], list[list[Snippet]] | None]:
        """All that is drawn for each text, as it is drawn, and the codes of `near` with their bounds; None where there are none."""

    @abstractmethod
    def bounds(self, texts: Sequence[str], codes: Sequence[Sequence[str]], how: Sampling, cut: bool = False) -> list[list[float | None]]:
        """Upper bounds of -log p(code | text) in nats of codes for each text, whoever wrote them; None of code that is too long."""

    @abstractmethod
    def too_long(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than it reads."""

    @abstractmethod
    def program_bytes(self, how: Sampling) -> int | None:
        """What sampling a batch takes as compiled: weights, what goes in and out, and between them as XLA counts it; None where the
        device's compiler does not say."""

    def _check(self, how: Sampling, given: Sequence[str] | None, near: Retrieval | None, meanings: Meanings | None) -> None:
        how.check(self.kind, self.all_steps)
        if given is not None and self.kind == "autoregressive":
            raise UserError("the model's kind is autoregressive, which writes from left to right and fills no holes.\n  Use another kind.")
        if how.retrieved and (near is None or given is not None):
            wrong = "no pairs are named to look in" if near is None else "a snippet is given in part, which retrieved ones are not"
            raise UserError(f"retrieved is {how.retrieved}, but {wrong}.\n  Name training pairs with --near, and no --given.")
        if how.distinct == "meaning" and meanings is None:
            raise UserError("distinct is meaning, but no language is named to understand code by.\n  Say --language bash, python or cf.")


def _best_first(
    drawn: Sequence[Sequence[Snippet]], drafts: Sequence[Sequence[Snippet]] | None, how: Sampling, meanings: Meanings | None
) -> list[list[Snippet]]:
    """The `how.samples` best of what was drawn for each text, and of the drafts, retrieved codes nearest first, where there are some."""
    if drafts is not None:
        ordered = [_beside(group, extra) for group, extra in zip(drawn, drafts, strict=True)]
    else:
        ranked = [sorted(group, key=lambda each: nats(each.bound)) for group in drawn]
        ordered = [different_first(group) for group in ranked] if how.draws else ranked
    if how.distinct == "meaning" and meanings is not None:
        ordered = [_meanings_first(group, meanings, place, not how.retrieved) for place, group in enumerate(ordered)]
    return [group[: how.samples] for group in ordered]


def _beside(drawn: Sequence[Snippet], drafts: Sequence[Snippet]) -> list[Snippet]:
    """What was drawn and the drafts in one order."""
    both = [*drawn, *drafts]
    return [both[n] for n in fused([each.code for each in both], [each.bound for each in both], len(drawn))]


def _meanings_first(snippets: Sequence[Snippet], meanings: Meanings, place: int, sort: bool) -> list[Snippet]:
    codes, bounds = [each.code for each in snippets], [each.bound for each in snippets]
    return [snippets[n] for n in by_meaning(codes, meanings.of(place, codes), bounds, sort)]


def different_first(snippets: Sequence[Snippet]) -> list[Snippet]:
    """In order, but for copies of those before, which come last."""
    first = {snippet.code: number for number, snippet in reversed([*enumerate(snippets)])}
    return [snippets[number] for number in sorted(range(len(snippets)), key=lambda number: first[snippets[number].code] != number)]
