"""What of an item may have been in training text, and how many words in a row say that it was.

Source: Brown et al. 2020, appendix C: a task's N is the length in words of its example at the 5th percentile, at least 8 and at most
13; a synthetic task may have less. The length that agrees with the paper's N is that of the question as it is asked with its answer.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tenfold.corpus.contamination import SHORTEST, length_of
from tenfold.corpus.letters import grams, placed_words
from tenfold.corpus.normalise import normalise
from tenfold.errors import UserError
from tenfold.evaluate.example import Example

FEWEST = 5
"""A text of fewer than N words is looked up whole, if it has as many words as this or is the question with its right answer."""
LONGEST = 32
"""Words in a row that can be asked for: as many of a question's last ones are looked at again with each further answer."""
AT_ONCE = 512  # items whose words are in memory at once


@dataclass(frozen=True)
class Item:
    """One item as text."""

    id: str
    asked: tuple[str, ...]
    """The question with each answer as the model reads it; the right answer first."""
    bare: tuple[str, ...] = ()
    """The same without the words that the prompt adds."""
    line: str = ""
    """The item as its data set has it, a line of JSON. Only what no other item has counts: names of fields are in every line."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that may be shared; the line last."""
        return self.asked + self.bare + (self.line,)


@dataclass(frozen=True)
class ItemSet:
    """The items of one task."""

    name: str
    items: tuple[Item, ...]
    n: int
    """Words in a row that make an item dirty."""

    @cached_property
    def short(self) -> frozenset[int]:
        """The numbers of the items that have fewer than N words, as asked with the right answer."""
        sizes = np.diff(placed_words([item.asked[0] for item in self.items]).starts)
        return frozenset(np.flatnonzero(sizes < self.n).tolist())


class Grams(NamedTuple):
    """Runs of one number of words, and the items they are of."""

    hashes: np.ndarray
    """uint64[P]"""
    item: np.ndarray
    """int64[P]"""


def item_set(name: str, items: list[Item], n: int = 0, synthetic: bool = False) -> ItemSet:
    """The items, in the form that a corpus brings text into, with their N: `n` where that is given, else by the paper's rule.

    Raises UserError for no items, or one id twice.
    """
    if not items:
        raise UserError(f"The task {name!r} has no items to look for.\n  See its file, and --data.")
    if len({item.id for item in items}) < len(items):
        ids = [item.id for item in items]
        twice = next(id for id in ids if ids.count(id) > 1)
        raise UserError(f"The task {name!r} has two items with the id {twice!r}.\n  Give every item its own.")
    if not 0 <= n <= LONGEST:
        raise UserError(f"n is {n} words in a row.\n  Give 1 to {LONGEST}, or 0 for the length of each task's short examples.")
    items = [
        Item(item.id, tuple(normalise(list(item.asked))), tuple(normalise(list(item.bare))), *normalise([item.line])) for item in items
    ]
    words = placed_words([item.asked[0] for item in items])
    return ItemSet(name, tuple(items), n or length_of(words, least=1 if synthetic else SHORTEST))


def task_items(name: str, data: Sequence[Path], n: int = 0) -> ItemSet:
    """All items of a task that its file says how to find, `data` being the folders to look in first. Items that a generator makes are
    synthetic."""
    from tenfold.evaluate.prompts import examples
    from tenfold.evaluate.task import read_task

    task = read_task(name)
    items = [item_of(example) for example in examples(task, list(data))]
    return item_set(task.name, items, n, any(source.made for source in task.test))


def plain_items(texts: Mapping[str, str]) -> list[Item]:
    """Items of which no more is known than their text."""
    return [Item(id, (text,)) for id, text in texts.items()]


def item_of(example: Example) -> Item:
    """Question, choices and answers of an example. Where the prompt puts words of its own after the question ("Answer:"), also the last of
    its fields in the question with each answer, as another text would have them."""
    line = json.dumps(example.item, ensure_ascii=False, default=str) if example.item else ""
    answers = _right_first(example)
    if example.contexts:
        ending = example.choices[0] if example.choices else example.answers[0] if example.answers else ""
        right, *wrong = [example.contexts[example.gold], *example.contexts]
        asked = dict.fromkeys(_joined(context, ending) for context in (right, *wrong))
        return Item(example.id, tuple(asked), line=line)
    if not answers:
        return Item(example.id, (example.question,), line=line)
    asked = dict.fromkeys([_joined(example.question, answers[0]), *(_joined(_end(example.question), answer) for answer in answers[1:])])
    question = _one_line(example.question)
    inside = [field for field in map(_one_line, _strings(example.item)) if " " in field and field in question]
    last = max(inside, key=lambda field: (question.rfind(field) + len(field), len(field)), default="")
    bare = [f"{_end(last)} {answer.strip()}" for answer in answers] if last and not question.endswith(last) else []
    return Item(example.id, tuple(asked), tuple(bare), line)


def grams_of(found: ItemSet) -> dict[int, Grams]:
    """What to look up, by the number of words: every run of N words of an item's texts, those of its line that no other item has, and
    the texts themselves that are shorter."""
    made: dict[int, list[Grams]] = {found.n: []}
    lines = []
    for start in range(0, len(found.items), AT_ONCE):
        items = found.items[start : start + AT_ONCE]
        texts = [(number, text) for number, item in enumerate(items, start) for text in item.asked + item.bare]
        made[found.n].append(_runs(texts, found.n))
        lines.append(_runs([(number, item.line) for number, item in enumerate(items, start)], found.n))
        for size, part in _whole(texts, found):
            made.setdefault(size, []).append(part)
    made[found.n].append(_in_one(_different(lines)))
    return {n: _different(parts) for n, parts in made.items()}


def _runs(texts: Sequence[tuple[int, str]], n: int) -> Grams:
    """The runs of `n` words of texts, each of an item once; the numbers are the items'."""
    words = placed_words([text for _, text in texts])
    hashes, first = grams(words, n)
    owners = np.array([number for number, _ in texts], np.int64)
    return _different([Grams(hashes, owners[np.searchsorted(words.starts, first, "right") - 1])])


def _whole(texts: Sequence[tuple[int, str]], found: ItemSet) -> Iterator[tuple[int, Grams]]:
    """(its number of words, the one run of all of it) for each text of fewer than N words."""
    words = placed_words([text for _, text in texts])
    sizes = np.diff(words.starts)
    for place in np.flatnonzero((sizes > 0) & (sizes < found.n)).tolist():
        number, text = texts[place]
        item = found.items[number]
        if sizes[place] >= FEWEST or text in (item.asked[0], *item.bare[:1]):
            yield int(sizes[place]), Grams(grams(placed_words([text]), int(sizes[place]))[0], np.array([number]))


def _in_one(found: Grams) -> Grams:
    """Those of one item alone. Sorted by hash, as `_different` gives them."""
    same = found.hashes[1:] == found.hashes[:-1]
    alone = np.ones(len(found.hashes), bool)
    alone[1:] &= ~same
    alone[:-1] &= ~same
    return Grams(found.hashes[alone], found.item[alone])


def _different(parts: Sequence[Grams]) -> Grams:
    """All of them, sorted by hash and item, each pair once."""
    hashes, items = np.concatenate([part.hashes for part in parts]), np.concatenate([part.item for part in parts])
    order = np.lexsort((items, hashes))
    hashes, items = hashes[order], items[order]
    new = np.ones(len(hashes), bool)
    new[1:] = (hashes[1:] != hashes[:-1]) | (items[1:] != items[:-1])
    return Grams(hashes[new], items[new])


def _right_first(example: Example) -> list[str]:
    if example.contexts or not example.choices:
        return list(example.answers)
    gold = example.choices[example.gold]
    return list(dict.fromkeys([gold, *example.choices]))


def _joined(question: str, answer: str) -> str:
    return question + answer if answer[:1].isspace() or question[-1:].isspace() else f"{question} {answer}".strip()


def _end(text: str) -> str:
    """As much of it as a run of words over its end can hold."""
    return " ".join(text.split()[-LONGEST:])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _strings(item: object) -> Iterator[str]:
    if isinstance(item, str) and item.strip():
        yield item
    elif isinstance(item, dict | list):
        for each in item.values() if isinstance(item, dict) else item:
            yield from _strings(each)
