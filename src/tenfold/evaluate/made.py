"""GPT-3's ten arithmetic tasks and five word tasks, made here: other items than the paper's, of the same form and distribution. And copied
words, which smaller models learn first.

An item is what a line of the paper's own files is, {"context", "completion"}: "\\n\\nQ: What is 98 plus 45?\\n\\nA:" and " 143", or
"\\nasinoc =" and " casino". What the files show beyond the paper's text holds here too: all questions differ; the composite task draws
from 1 to 9 and puts its brackets around the first two; words have 6 to 15 letters; a cycled word never stays itself; what is inserted is
one of " ./!".

Source: Brown et al. 2020, §3.9.1 and §3.9.2; the files of openai/gpt-3.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from tenfold.errors import UserError

ARITHMETIC_ITEMS = 2_000
WORD_ITEMS = 10_000
INSERTED = " ./!"
SIGNS = {"plus": "+", "minus": "-", "times": "*"}

Dice = random.Random


def make(name: str, count: int = 0, seed: int = 0, texts: Sequence[str] = ()) -> list[dict[str, str]]:
    """`count` items of a task (0: as many as GPT-3 has, 2,000 or 10,000), the same for the same arguments; all different.

    `texts`: of word tasks, where the words come from: the commonest there, as GPT-3 took the commonest of a word count.
    Raises UserError for a name that is none, or where there are not so many different items.
    """
    dice = random.Random(f"{seed}/{name}")
    if name in ARITHMETIC:
        asked: dict[str, int] = {}
        wanted = count or ARITHMETIC_ITEMS
        for _ in range(20 * wanted + 1_000):
            if len(asked) == wanted:
                break
            asked.setdefault(*ARITHMETIC[name](dice))
        if len(asked) < wanted:
            raise UserError(f"{name} has fewer than {wanted} different questions: found {len(asked)}; ask for fewer items")
        return [_sum(question, answer) for question, answer in asked.items()]
    if name in WORDS:
        change, changes = WORDS[name]
        found = common_words(texts, count or WORD_ITEMS, changes)
        return [_word(change(word, dice), word) for word in dice.sample(found, len(found))]
    raise _unknown(name)


def endless(name: str, dice: Dice, words: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Items of a task without end, which may come again. `words`: of word tasks, what is asked for. Raises UserError for a name that is
    none, and where the task can change none of the words."""
    if name not in ARITHMETIC and name not in WORDS:
        raise _unknown(name)
    change, changes = WORDS.get(name, (None, None))
    usable = [word for word in words if changes(word)] if changes else []
    if change and not usable:
        raise UserError(f"{name} has no word to ask for, of {len(words)}: give more text.")
    while True:
        if change:
            word = dice.choice(usable)
            yield _word(change(word, dice), word)
        else:
            yield _sum(*ARITHMETIC[name](dice))


def _sum(question: str, answer: int) -> dict[str, str]:
    return {"context": f"\n\nQ: What is {question}?\n\nA:", "completion": f" {answer}"}


def _word(letters: str, word: str) -> dict[str, str]:
    return {"context": f"\n{letters} =", "completion": f" {word}"}


def _unknown(name: str) -> UserError:
    return UserError(f"{name!r} is no task that is made here: they are {', '.join([*ARITHMETIC, *WORDS])}")


def common_words(texts: Sequence[str], count: int, changes: Callable[[str], bool] = lambda word: True) -> list[str]:
    """The commonest words of 6 to 15 small letters, of those that the task can change; ties in the alphabet's order.

    Raises UserError where the texts hold fewer.
    """
    found = list(islice((word for word in words_of(texts) if changes(word)), count))
    if len(found) < count:
        raise UserError(
            f"{count} words of 6 to 15 letters are asked for and the texts hold {len(found)}: give more text, or ask for fewer items"
        )
    return found


def words_of(texts: Iterable[str]) -> list[str]:
    """All words of 6 to 15 small letters, the commonest first; ties in the alphabet's order."""
    counts = Counter(word for text in texts for word in re.findall(r"(?<![\w'-])[a-z]{6,15}(?![\w'-])", text))
    return [word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def _two(word: str, below: int) -> Callable[[Dice], tuple[str, int]]:
    """Two numbers below `below` with a word between them. The answer of minus may be negative."""

    def ask(dice: Dice) -> tuple[str, int]:
        a, b = dice.randrange(below), dice.randrange(below)
        return f"{a} {word} {b}", _apply(SIGNS[word], a, b)

    return ask


def _composite(dice: Dice) -> tuple[str, int]:
    """Three of the digits 1 to 9, brackets around the first two."""
    (a, b, c), (first, second) = [dice.randint(1, 9) for _ in range(3)], [dice.choice("+-*") for _ in range(2)]
    return f"({a} {first} {b}) {second} {c}", _apply(second, _apply(first, a, b), c)


def _apply(sign: str, a: int, b: int) -> int:
    return a + b if sign == "+" else a - b if sign == "-" else a * b


def _cycle(word: str, dice: Dice) -> str:
    """CL: rotated, so that it starts with another of its letters."""
    return dice.choice([turned for place in range(1, len(word)) if (turned := word[place:] + word[:place]) != word])


def _anagram(kept: int) -> Callable[[str, Dice], str]:
    """A1, A2: all but the first and last (one, two) letters in another order."""

    def scramble(word: str, dice: Dice) -> str:
        inside = word[kept:-kept]
        while (mixed := "".join(dice.sample(inside, len(inside)))) == inside:
            pass
        return word[:kept] + mixed + word[-kept:]

    return scramble


def _insert(word: str, dice: Dice) -> str:
    """RI: a mark or a space between every two letters."""
    return "".join(letter + dice.choice(INSERTED) for letter in word[:-1]) + word[-1]


def _reverse(word: str, dice: Dice) -> str:
    """RW: backwards."""
    return word[::-1]


def _copy(word: str, dice: Dice) -> str:
    """As it is."""
    return word


def _arithmetic() -> Iterator[tuple[str, Callable[[Dice], tuple[str, int]]]]:
    for digits, below in (("two", 100), ("three", 1_000), ("four", 10_000), ("five", 100_000)):
        yield f"{digits}_digit_addition", _two("plus", below)
        yield f"{digits}_digit_subtraction", _two("minus", below)
    yield "two_digit_multiplication", _two("times", 100)
    yield "single_digit_three_ops", _composite


ARITHMETIC = dict(_arithmetic())
"""The names of the paper's files."""
WORDS: dict[str, tuple[Callable[[str, Dice], str], Callable[[str], bool]]] = {
    "cycle_letters_in_word": (_cycle, lambda word: len(set(word)) > 1),
    "mid_word_1_anagrams": (_anagram(1), lambda word: len(set(word[1:-1])) > 1),
    "mid_word_2_anagrams": (_anagram(2), lambda word: len(set(word[2:-2])) > 1),
    "random_insertion_in_word": (_insert, lambda word: True),
    "reversed_words": (_reverse, lambda word: word != word[::-1]),
    "copied_words": (_copy, lambda word: True),
}
"""How each changes a word, and which words it can."""
