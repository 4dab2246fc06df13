"""What of an item may have been in training text, and how many words in a row say that it was.

Source: Brown et al. 2020, appendix C: a task's N is the length in words of its example at the 5th percentile, at least 8 and at most
13; a synthetic task may have less. The length that agrees with the paper's N is that of the question as it is asked with its answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tenfold.corpus.contamination import length_of
from tenfold.corpus.letters import grams, placed_words
from tenfold.errors import UserError
from tenfold.evaluate.example import Example

FEWEST = 5
"""Of an item without N words in a row its texts are looked up whole; those of its fields if they have as many words as this."""
LONGEST = 100


@dataclass(frozen=True)
class Item:
    """One item as text."""

    id: str
    asked: tuple[str, ...]
    """The question with each answer as the model reads it; the right answer first."""
    fields: tuple[str, ...] = ()
    """What the question was made of, without the words that the prompt adds, alone and with each answer."""

    @property
    def texts(self) -> tuple[str, ...]:
        return self.asked + self.fields


@dataclass(frozen=True)
class ItemSet:
    """The items of one task."""

    name: str
    items: tuple[Item, ...]
    n: int
    """Words in a row that make an item dirty."""


class Grams(NamedTuple):
    """Runs of one number of words, and the items they are of."""

    hashes: np.ndarray
    """uint64[P]"""
    item: np.ndarray
    """int64[P]"""


def item_set(name: str, items: list[Item], n: int = 0) -> ItemSet:
    """The items with their N: `n` where the task says one, else by the paper's rule. Raises UserError for no items, or one id twice."""
    if not items:
        raise UserError(f"The task {name!r} has no items to look for.\n  See its file, and --data.")
    if len({item.id for item in items}) < len(items):
        ids = [item.id for item in items]
        twice = next(id for id in ids if ids.count(id) > 1)
        raise UserError(f"The task {name!r} has two items with the id {twice!r}.\n  Give every item its own.")
    if not 0 <= n <= LONGEST:
        raise UserError(f"The task {name!r} wants {n} words in a row.\n  Give 1 to {LONGEST}, or 0 for the length of its short examples.")
    return ItemSet(name, tuple(items), n or length_of(placed_words([item.asked[0] for item in items])))


def task_items(name: str, data: Sequence[Path]) -> ItemSet:
    """All items of a task that its file says how to find, `data` being the folders to look in first."""
    from tenfold.evaluate.prompts import examples
    from tenfold.evaluate.task import read_task

    task = read_task(name)
    return item_set(task.name, [item_of(example) for example in examples(task, list(data))])


def plain_items(texts: Mapping[str, str]) -> list[Item]:
    """Items of which no more is known than their text."""
    return [Item(id, (text,)) for id, text in texts.items()]


def item_of(example: Example) -> Item:
    """Question, choices and answers of an example, and those of its fields that stand in the question."""
    answers = _right_first(example)
    if example.contexts:
        asked = tuple(_joined(context, example.choices[0] if example.choices else "") for context in example.contexts)
    else:
        asked = tuple(_joined(example.question, answer) for answer in answers) or (example.question,)
    strings = dict.fromkeys(_one_line(text) for text in _strings(example.item))
    fields = [text for text in strings if " " in text and text in _one_line(example.question)]
    paired = [f"{_end(field)} {answer.strip()}" for field in fields for answer in answers]
    return Item(example.id, asked, tuple(dict.fromkeys([*fields, *paired])))


def grams_of(found: ItemSet) -> dict[int, Grams]:
    """What to look up, by the number of words: every run of N of any text of an item; the texts themselves of an item that has none."""
    owners = np.array([number for number, item in enumerate(found.items) for _ in item.texts])
    words = placed_words([text for item in found.items for text in item.texts])
    hashes, first = grams(words, found.n)
    text = np.searchsorted(words.starts, first, "right") - 1
    made = {found.n: [(hashes, owners[text])]}
    for number in sorted(short(found)):
        for whole in map(placed_words, ([text] for text in _whole(found.items[number]))):
            size = len(whole.hashes)
            if size:
                made.setdefault(size, []).append((grams(whole, size)[0], np.array([number])))
    return {n: _different(parts) for n, parts in made.items()}


def _whole(item: Item) -> list[str]:
    return [*item.asked, *(field for field in item.fields if len(field.split()) >= FEWEST)]


def short(found: ItemSet) -> set[int]:
    """The numbers of the items that have no text of N words."""
    sizes = np.diff(placed_words([text for item in found.items for text in item.texts]).starts)
    longest = np.maximum.reduceat(sizes, np.cumsum([0, *(len(item.texts) for item in found.items)])[:-1])
    return set(np.flatnonzero(longest < found.n).tolist())


def _different(parts: list[tuple[np.ndarray, np.ndarray]]) -> Grams:
    hashes, items = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
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
