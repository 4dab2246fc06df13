"""Several trained models answer together.

Models of one kind judge each other's answers: code is worth the mean of their bounds of -log p(code | text), so that what one of them finds
unlikely falls (a product of experts, Hinton 2002, as the log-probabilities of models that translate together are added up). Bounds of
different kinds cannot be compared, so the kinds' orders are put together by places (together.py), as are orders with retrieved codes in
them and unranked ones.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from tenfold.codefusion.data import plain
from tenfold.codefusion.meaning import Meanings, by_meaning, nats
from tenfold.codefusion.retrieval import Retrieval
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.snippets import Snippet, Writer
from tenfold.codefusion.together import together

Written = Sequence[tuple[str, float | None]]
"""The codes that a model wrote for a text, best first, and their bounds."""
Place = tuple[int, int]
"""A model's number, and the place in what it wrote."""


def ask_each(models: Sequence[Writer], how: Sampling) -> list[Sampling]:
    """What to ask each model: the settings that its kind has, and all that it draws where another is to judge it."""
    judged = {number for numbers in _kinds(models) if _judge(numbers, how) for number in numbers}
    found = []
    for number, model in enumerate(models):
        own = how.of_kind(model.kind, model.all_steps)
        found.append(replace(own, samples=own.draws or own.samples) if number in judged else own)
    return found


def ordered_by(models: Sequence[Writer], how: Sampling) -> str:
    """What the order of all answers goes by, in words."""
    kinds = _kinds(models)
    ways = ["the mean of the bounds of models of one kind"] if any(_judge(numbers, how) for numbers in kinds) else []
    return " and ".join(ways + (["places"] if len(kinds) > 1 or not ways else []))


def in_one_order(
    models: Sequence[Writer],
    how: Sampling,
    texts: Sequence[str],
    written: Sequence[Sequence[Written]],
    meanings: Meanings | None = None,
    cut: bool = False,
) -> list[list[Place]]:
    """For each text, where the different codes of all models stand, best first. `written[model][text]` is what `ask_each` asked for;
    `meanings`: answers are told apart by them. `cut`: texts that are too long for a model are cut."""
    orders: list[list[list[Place]]] = []  # of each kind, for each text
    for numbers in _kinds(models):
        if _judge(numbers, how):
            some = {number: (models[number], written[number]) for number in numbers}
            orders.append(_judged(some, how, texts, meanings, cut))
        else:
            orders += [[[(number, place) for place in range(len(own))] for own in written[number]] for number in numbers]
    found = []
    for text, lists in enumerate(zip(*orders, strict=True)):
        best = [own[: how.samples] for own in lists]
        codes = [[written[number][text][place][0] for number, place in own] for own in best]
        order = together(codes, _in_lists(meanings.of(text, [code for own in codes for code in own]), codes) if meanings else None)
        found.append([best[number][at] for number, at in order[: how.samples]])
    return found


def generate_together(
    models: Mapping[str, Writer],
    texts: Sequence[str],
    how: Sampling,
    given: Sequence[str] | None = None,
    holes: int = 8,
    near: Retrieval | None = None,
    meanings: Meanings | None = None,
) -> list[list[tuple[str, Snippet]]]:
    """`how.samples` snippets for each text that differ, of all models' in one order, with the name of the model that wrote it, the first
    of several. Each model takes those of the settings that its kind has; all else as `Writer.generate`."""
    names, several = [*models], [*models.values()]
    found = [
        model.generate(texts, own, given, holes, near=near, meanings=meanings)
        for model, own in zip(several, ask_each(several, how), strict=True)
    ]
    written = [[[(each.code, each.bound) for each in group] for group in groups] for groups in found]
    order = in_one_order(several, how, texts, written, meanings)
    return [[(names[number], found[number][text][place]) for number, place in places] for text, places in enumerate(order)]


def _kinds(models: Sequence[Writer]) -> list[list[int]]:
    """The numbers of the models of each kind, in the order in which the kinds come first."""
    found: dict[str, list[int]] = {}
    for number, model in enumerate(models):
        found.setdefault(model.kind, []).append(number)
    return [*found.values()]


def _in_lists(things: Sequence[Hashable | None], lists: Sequence[Sequence[str]]) -> list[list[Hashable | None]]:
    """As many to a list as each of these has."""
    rest = iter(things)
    return [[*islice(rest, len(own))] for own in lists]


def _judge(numbers: Sequence[int], how: Sampling) -> bool:
    return len(numbers) > 1 and how.rank_by > 0 and not how.retrieved


def _judged(
    models: Mapping[int, tuple[Writer, Sequence[Written]]],
    how: Sampling,
    texts: Sequence[str],
    meanings: Meanings | None,
    cut: bool,
) -> list[list[Place]]:
    """For each text, the different codes in the order of the mean of the models' bounds."""
    pools = [_different({number: written[text] for number, (_, written) in models.items()}) for text in range(len(texts))]
    bounds = [_of_all(model, how, texts, pools, written, cut) for model, written in models.values()]
    found = []
    for text, pool in enumerate(pools):
        codes, places = [code for code, _ in pool.values()], [place for _, place in pool.values()]
        mean = [sum(of_each[text][key] for of_each in bounds) / len(bounds) for key in pool]
        order = by_meaning(codes, meanings.of(text, codes), mean) if meanings else sorted(range(len(codes)), key=mean.__getitem__)
        found.append([places[n] for n in order])
    return found


def _different(written: Mapping[int, Written]) -> dict[str, tuple[str, Place]]:
    """By what makes codes the same: each code, and where it stands first."""
    found: dict[str, tuple[str, Place]] = {}
    for number, codes in written.items():
        for place, (code, _) in enumerate(codes):
            found.setdefault(plain(code), (code, (number, place)))
    return found


def _of_all(
    model: Writer,
    how: Sampling,
    texts: Sequence[str],
    pools: Sequence[Mapping[str, tuple[str, Place]]],
    written: Sequence[Written],
    cut: bool,
) -> list[dict[str, float]]:
    """The model's bounds of the codes of each text's pool: of its own as it drew them, else as asked for; infinity of what is too long."""
    found: list[dict[str, float]] = []
    for own in written:
        known: dict[str, float] = {}
        for code, bound in own:
            known[plain(code)] = min(known.get(plain(code), math.inf), nats(bound))
        found.append(known)
    others = [[code for key, (code, _) in pool.items() if key not in known] for pool, known in zip(pools, found, strict=True)]
    for known, codes, bounds in zip(found, others, model.bounds(texts, others, how, cut), strict=True):
        known |= {plain(code): nats(bound) for code, bound in zip(codes, bounds, strict=True)}
    return found
