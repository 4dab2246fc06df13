"""Words that code copies from its text, as slots: a model points at them and need not spell them.

    copy notes.txt to /mnt   =>  copy ᚠ to ᚡ  =>  cp ᚠ ᚡ  =>  cp notes.txt /mnt

A word of the text that is not known, or in quotes, is a slot, numbered in order, in text and code alike (the argument identification of
Dong and Lapata 2016, the slots of Yin et al. 2018). Slots are letters, so that parsers and tokenizers take them for names, of scripts that
no living language has: Ogham for numbers, Glagolitic for words with an index, such as c[1], and runes for all others.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tenfold.codefusion.data import Example
from tenfold.corpus.files import write_atomically
from tenfold.errors import UserError

MOST = 24
"""Slots of a kind."""
RUNES, OGHAM, GLAGOLITIC = ("".join(chr(first + n) for n in range(MOST)) for first in (0x16A0, 0x1681, 0x2C00))
_WORD = re.compile(r"[\w./*~@-]+(?:\[\d+\])?")
_QUOTED = re.compile(r"(?<!\w)([\"'`])(.+?)\1(?!\w)")
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_ENDS = ".-"  # cut off a word, where they are a sentence's or a sign's
FEWEST, SHARE, COPIED = 2, 0.001, 0.2
MANY, OFTEN = 50, 0.02


@dataclass(frozen=True)
class Slotted:
    """A text, and the slot of each word that has one."""

    text: str
    slots: Mapping[str, str]


def slotted(text: str, known: frozenset[str]) -> Slotted:
    """The text with each word that is in quotes or not known as a slot, the same word as the same; words that are too many stay."""
    slots: dict[str, str] = {}
    quoted = [found.span() for found in _QUOTED.finditer(text)]

    def slot(found: re.Match) -> str:
        word, whole = _bare(found[0]), found[0]
        asked = word not in slots and not any(first < found.start() < last for first, last in quoted)
        if not word or (asked and word.casefold() in known):
            return whole
        if word not in slots:
            letters = _letters(word)
            taken = sum(letter in letters for letter in slots.values())
            if taken == MOST:
                return whole
            slots[word] = letters[taken]
        return whole.replace(word, slots[word], 1)

    return Slotted(_WORD.sub(slot, text), slots)


def with_slots(code: str, slots: Mapping[str, str]) -> str:
    """The code with the slots of its text, wherever a word that has one stands by itself."""
    if not slots:
        return code
    longest = "|".join(map(re.escape, sorted(slots, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])(?:{longest})(?!\w)", lambda found: slots[found[0]], code)


def filled(code: str, slots: Mapping[str, str]) -> str:
    """The code with what its slots stand for; a slot that the text has not stays."""
    return code.translate({ord(slot): word for word, slot in slots.items()})


def slots_in(code: str) -> set[str]:
    """The slots that stand in the code."""
    return set(code) & {*RUNES, *OGHAM, *GLAGOLITIC}


def slotted_example(example: Example, known: frozenset[str]) -> Example:
    """Text and code with slots; code alone stays as it is."""
    if not example.text:
        return example
    found = slotted(example.text, known)
    return replace(example, text=found.text, code=with_slots(example.code, found.slots))


def said_words(examples: Iterable[Example]) -> list[str]:
    """The words to know, in order: those of at least SHARE of the texts (FEWEST) whose code copies them in fewer than COPIED, and all of
    at least OFTEN of the texts (MANY); none that has a digit."""
    said: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    count = 0
    for example in examples:
        words = {_bare(found) for found in _WORD.findall(example.text or "")} - {""}
        count += bool(words)
        said.update({word.casefold() for word in words})
        copied.update({word.casefold() for word in words if with_slots(example.code, {word: RUNES[0]}) != example.code})
    fewest, often = max(FEWEST, SHARE * count), max(MANY, OFTEN * count)
    kept = {word for word, n in said.items() if n >= often or (n >= fewest and copied[word] < COPIED * n)}
    return sorted(word for word in kept if not any(map(str.isdigit, word)))


def read_words(path: str | Path) -> frozenset[str]:
    """A file of known words, one a line. Raises UserError where there is none."""
    try:
        found = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.words is {path}, which cannot be read: {error}.\n  Write it with tenfold codefusion words.") from error
    return frozenset(word.strip().casefold() for word in found if word.strip())


def write_words(path: str | Path, words: Iterable[str]) -> None:
    """The file that `read_words` reads."""
    write_atomically(Path(path), "".join(f"{word}\n" for word in sorted(words)))


def _bare(word: str) -> str:
    return word.strip(_ENDS) if any(letter.isalnum() for letter in word) else ""


def _letters(word: str) -> str:
    """The script of a word's slot."""
    if word.endswith("]"):
        return GLAGOLITIC
    return OGHAM if _NUMBER.fullmatch(word) else RUNES
