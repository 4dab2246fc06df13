"""The quality and repetition filters of MassiveText (Rae et al. 2021, Gopher, appendix A.1.1 and table A1).

A word is what white space separates; the paper does not say. Words without a letter or digit count in ratios and not in lengths, as
datatrove has it, which cuts words by a tokenizer of English.
"""

from dataclasses import dataclass

import numpy as np

from tenfold.corpus.rules.rule import AtMost, Between, Parts, Rule
from tenfold.errors import UserError

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class Words(Between):
    """The number of words is between two others."""

    least: float = 50
    most: float = 100_000

    def measure(self, parts: Parts) -> float:
        """Words with a letter or digit."""
        return len(parts.words) - len(parts.unreal_words)


@dataclass(frozen=True)
class WordLength(Between):
    """The mean length of a word is between two others."""

    least: float = 3
    most: float = 10

    def measure(self, parts: Parts) -> float:
        """Characters of a word that has a letter or digit."""
        letters = sum(map(len, parts.words)) - sum(map(len, parts.unreal_words))
        return letters / max(1, len(parts.words) - len(parts.unreal_words))


@dataclass(frozen=True)
class Hashes(AtMost):
    """Hash signs are few beside words."""

    most: float = 0.1

    def measure(self, parts: Parts) -> float:
        """Hash signs to a word."""
        return parts.text.count("#") / max(1, len(parts.words))


@dataclass(frozen=True)
class Ellipses(AtMost):
    """Ellipses are few beside words."""

    most: float = 0.1

    def measure(self, parts: Parts) -> float:
        """Ellipses to a word."""
        return sum(map(parts.text.count, ELLIPSES)) / max(1, len(parts.words))


@dataclass(frozen=True)
class BulletLines(AtMost):
    """Few lines begin with a bullet."""

    most: float = 0.9

    def measure(self, parts: Parts) -> float:
        """The share of lines that do."""
        return sum(line.lstrip().startswith(BULLETS) for line in parts.lines) / max(1, len(parts.lines))


@dataclass(frozen=True)
class EllipsisLines(AtMost):
    """Few lines end in an ellipsis."""

    most: float = 0.3

    def measure(self, parts: Parts) -> float:
        """The share of lines that do."""
        return sum(line.rstrip().endswith(ELLIPSES) for line in parts.lines) / max(1, len(parts.lines))


@dataclass(frozen=True)
class Letters(Between):
    """Most words have a letter in them."""

    least: float = 0.8

    def measure(self, parts: Parts) -> float:
        """The share of words that do; 1 of no words."""
        if not parts.words:
            return 1.0
        without = sum(not any(map(str.isalpha, word)) for word in parts.odd_words)
        return (len(parts.words) - without) / len(parts.words)


@dataclass(frozen=True)
class StopWords(Rule):
    """Some of the commonest English words are there."""

    least: int = 2
    words: tuple[str, ...] = STOP_WORDS

    def breaks(self, parts: Parts) -> bool:
        """Whether fewer different ones are."""
        return len(set(self.words).intersection(parts.words)) < self.least


@dataclass(frozen=True)
class Duplicates(AtMost):
    """Few lines or paragraphs are there again; a share of them, or of the characters."""

    most: float = 0.3
    of: str = "lines"
    by_characters: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.of not in ("lines", "paragraphs"):
            raise UserError(f"Duplicates.of is {self.of!r}.\n  Give 'lines' or 'paragraphs'.")

    def measure(self, parts: Parts) -> float:
        """The share that had been there before. Lines are cut at runs of line ends, paragraphs at runs of two or more."""
        pieces = parts.line_pieces if self.of == "lines" else parts.paragraph_pieces
        return pieces.letters_again / max(1, len(parts.text)) if self.by_characters else pieces.again / pieces.pieces


@dataclass(frozen=True)
class TopGram(AtMost):
    """The commonest run of n words takes few of the characters."""

    most: float = 0.2
    n: int = 2

    def measure(self, parts: Parts) -> float:
        """Its characters, spaces between words counted, times how often it is there, to those of the text."""
        if len(parts.words) < self.n:
            return 0.0
        repeats = parts.repeats(self.n)
        counts = np.diff(np.append(repeats.heads, len(repeats.places)))
        most = int(counts.max(initial=1))
        begin = int(repeats.firsts[counts == most].min()) if most > 1 else 0
        length = int(parts.word_lengths[begin : begin + self.n].sum()) + self.n - 1
        return length * most / len(parts.text)


@dataclass(frozen=True)
class DuplicateGrams(AtMost):
    """Runs of n words that are there again take few of the characters."""

    most: float = 0.15
    n: int = 5

    def measure(self, parts: Parts) -> float:
        """Characters of words in a run that was there before, each once however many such runs hold it, to those of the text."""
        if len(parts.words) < self.n:
            return 0.0
        repeats = parts.repeats(self.n)
        edges = np.zeros(len(parts.words) + 1, np.int64)
        edges[repeats.places] += 1
        edges[repeats.firsts] -= 1
        edges[self.n :] -= edges[: -self.n].copy()
        return int(parts.word_lengths[np.cumsum(edges[:-1]) > 0].sum()) / len(parts.text)


QUALITY: dict[str, Rule] = {
    "gopher.words": Words(),
    "gopher.word_length": WordLength(),
    "gopher.hashes": Hashes(),
    "gopher.ellipses": Ellipses(),
    "gopher.bullet_lines": BulletLines(),
    "gopher.ellipsis_lines": EllipsisLines(),
    "gopher.letters": Letters(),
    "gopher.stop_words": StopWords(),
}

REPETITION: dict[str, Rule] = {
    "gopher.duplicate_paragraphs": Duplicates(0.3, "paragraphs"),
    "gopher.duplicate_paragraph_characters": Duplicates(0.2, "paragraphs", by_characters=True),
    "gopher.duplicate_lines": Duplicates(0.3, "lines"),
    "gopher.duplicate_line_characters": Duplicates(0.2, "lines", by_characters=True),
    **{f"gopher.top_{n}_gram": TopGram(most, n) for n, most in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"gopher.duplicate_{n}_grams": DuplicateGrams(most, n) for n, most in enumerate((0.15, 0.14, 0.13, 0.12, 0.11, 0.1), 5)},
}
