"""Prompts that are made, not collected: copying, order, recall, forms, small facts. The same seed gives the same prompts.

A skill is a function of dice alone; it gives a prompt, what it expects after it, and, where the answer is chosen, the choices. GPT-3's
arithmetic and word tasks come from made.py, with words that need no file.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from tenfold.errors import UserError
from tenfold.evaluate import made
from tenfold.evaluate.ledger.tables import ANIMALS, CAPITALS, FRENCH, NAMES, OPPOSITES, TOOLS
from tenfold.evaluate.ledger.words import LONG, SHORT

Dice = random.Random
Prompt = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MONTHS = "January February March April May June July August September October November December".split()
BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">"}
FILLER = 24  # sentences between a fact and its question: some 300 tokens


def prompts(name: str, count: int, seed: int = 0) -> list[Prompt]:
    """`count` prompts of a skill, all different. Raises UserError for a name that is none, or where there are not so many."""
    if name in made.ARITHMETIC or name in made.WORDS:
        found = made.make(name, count, seed, [" ".join(_some_words(name, count, seed))] if name in made.WORDS else [])
        return [{"prompt": item["context"].strip("\n"), "expect": item["completion"][1:]} for item in found]
    if name not in SKILLS:
        raise UserError(f"made is {name!r}, which nothing here makes: they are {', '.join(skill_names())}")
    dice = Dice(f"{seed}/{name}")
    different: dict[str, Prompt] = {}
    for _ in range(20 * count + 1_000):
        if len(different) == count:
            break
        item = SKILLS[name](dice)
        different.setdefault(item["prompt"], item)
    if len(different) < count:
        raise UserError(f"{name} has fewer than {count} different prompts: found {len(different)}; ask for fewer items")
    return list(different.values())


def skill_names() -> list[str]:
    """Everything that can be made."""
    return [*made.ARITHMETIC, *made.WORDS, *SKILLS]


def _some_words(name: str, count: int, seed: int) -> list[str]:
    """`count` words that the task can change. Of equally common ones `made.make` would take the alphabet's first."""
    usable = [word for word in LONG if len(word) >= 6 and made.WORDS[name][1](word)]
    if count > len(usable):
        raise UserError(f"{name} has {len(usable)} words to ask for, and {count} are wanted: ask for fewer items")
    return Dice(f"{seed}/{name}/words").sample(usable, count)


def _words(dice: Dice, least: int, most: int) -> list[str]:
    return dice.sample(SHORT, dice.randint(least, most))


def _copy_words(dice: Dice) -> Prompt:
    words = " ".join(_words(dice, 4, 7))
    return {"prompt": f"Text: {words}\nCopy:", "expect": words}


def _copy_letters(dice: Dice) -> Prompt:
    letters = "".join(dice.choice(LETTERS) for _ in range(8))
    return {"prompt": f"Text: {letters}\nCopy:", "expect": letters}


def _reverse_list(dice: Dice) -> Prompt:
    words = _words(dice, 3, 5)
    return {"prompt": f"List: {', '.join(words)}\nBackwards:", "expect": ", ".join(reversed(words))}


def _induction(dice: Dice) -> Prompt:
    """A B ... A -> B, in words that nothing else joins. Source: Olsson et al. 2022."""
    words = dice.sample(SHORT, 16)
    place = dice.randrange(2, 10)
    return {"prompt": " ".join([*words, words[place]]), "expect": words[place + 1]}


def _sentence(dice: Dice) -> str:
    first, second, third = dice.sample(SHORT, 3)
    seen, place = dice.choice(("saw", "found", "liked", "moved", "drew")), dice.choice(("near", "under", "behind", "beside"))
    return f"{dice.choice(NAMES)} {seen} the {first} {place} the {second} and the {third}."


def _recall(filler: int) -> Callable[[Dice], Prompt]:
    """A fact, some sentences of other things, and the question for the fact."""

    def ask(dice: Dice) -> Prompt:
        thing, word = dice.choice(SHORT), dice.choice(SHORT)
        text = " ".join(_sentence(dice) for _ in range(filler))
        return {"prompt": f"The password of the {thing} is {word}. {text} The password of the {thing} is", "expect": word}

    return ask


def _repeated_document(dice: Dice) -> Prompt:
    """A document twice; the second breaks off in the middle of a sentence, whose next four words are asked for."""
    sentences = [_sentence(dice) for _ in range(8)]
    at = dice.randrange(2, 7)
    words = sentences[at].split()
    return {"prompt": "\n".join([*sentences, "", *sentences[:at], " ".join(words[:3])]), "expect": " ".join(words[3:7])}


def _date(dice: Dice) -> Prompt:
    day, month, year = dice.randint(1, 28), dice.randrange(12), dice.randint(1900, 2020)
    return {"prompt": f"{day} {MONTHS[month]} {year} ->", "expect": f"{year}-{month + 1:02}-{day:02}"}


def _new_labels(dice: Dice) -> Prompt:
    """Labels that mean nothing elsewhere: the examples alone say which is which."""
    animal = dice.random() < 0.5
    return {
        "prompt": f"{dice.choice(ANIMALS if animal else TOOLS)} ->",
        "choices": ["glorp", "blick"],
        "expect": "glorp" if animal else "blick",
    }


def _json_record(dice: Dice) -> Prompt:
    record = {"name": dice.choice(NAMES), "age": dice.randint(20, 90), "city": dice.choice(list(CAPITALS.values()))}
    said = ", ".join(map(str, record.values()))
    return {"prompt": f"{said}\nJSON:", "expect": json.dumps(record)}


def _brackets(dice: Dice) -> Prompt:
    opened = [dice.choice(list(BRACKETS)) for _ in range(dice.randint(3, 6))]
    return {"prompt": f"Open: {' '.join(opened)}\nClose:", "expect": " ".join(BRACKETS[each] for each in reversed(opened))}


def _count_words(dice: Dice) -> Prompt:
    words = _words(dice, 2, 9)
    return {"prompt": f"List: {', '.join(words)}\nHow many:", "expect": str(len(words))}


def _count_letters(dice: Dice) -> Prompt:
    word = dice.choice(LONG)
    times = dice.choice(sorted({word.count(letter) for letter in word}))  # or nearly all would be once
    letter = dice.choice(sorted({letter for letter in word if word.count(letter) == times}))
    return {"prompt": f"How many times is the letter {letter} in the word {word}?\nAnswer:", "expect": str(times)}


def _sort_numbers(dice: Dice) -> Prompt:
    numbers = dice.sample(range(10, 100), 5)
    return {"prompt": f"Numbers: {' '.join(map(str, numbers))}\nSorted:", "expect": " ".join(map(str, sorted(numbers)))}


def _sort_words(dice: Dice) -> Prompt:
    words = _words(dice, 4, 5)
    return {"prompt": f"Words: {' '.join(words)}\nSorted:", "expect": " ".join(sorted(words))}


def _larger(dice: Dice) -> Prompt:
    pair = dice.sample(range(100, 1000), 2)
    choices = [str(number) for number in pair]
    return {"prompt": f"Q: Which is larger, {choices[0]} or {choices[1]}?\nA:", "choices": choices, "expect": str(max(pair))}


def _series(dice: Dice) -> Prompt:
    first, step = dice.randint(1, 20), dice.randint(2, 9)
    return {"prompt": ", ".join(str(first + step * n) for n in range(5)) + ",", "expect": str(first + step * 5)}


def _python_value(dice: Dice) -> Prompt:
    word, numbers, n = dice.choice(LONG), dice.sample(range(1, 10), 4), dice.randint(0, 3)
    lines = [
        (f"len({word!r})", len(word)),
        (f"{word!r}.upper()", word.upper()),
        (f"{word!r}[:{n + 1}]", word[: n + 1]),
        (f"{numbers}[{n}]", numbers[n]),
        (f"max({numbers})", max(numbers)),
        (f"sum({numbers})", sum(numbers)),
    ]
    line, value = dice.choice(lines)
    return {"prompt": f">>> {line}\n", "expect": repr(value)}


def _of(table: dict[str, str], question: str) -> Callable[[Dice], Prompt]:
    """A row of a table, its right side beside three others."""

    def ask(dice: Dice) -> Prompt:
        key = dice.choice(list(table))
        others = dice.sample(sorted({*table.values()} - {table[key]}), 3)
        choices = dice.sample([table[key], *others], 4)
        return {"prompt": question.format(key), "choices": choices, "expect": table[key]}

    return ask


def _french(dice: Dice) -> Prompt:
    word = dice.choice(list(FRENCH))
    return {"prompt": f"English: {word}\nFrench:", "expect": FRENCH[word]}


SKILLS: dict[str, Callable[[Dice], Prompt]] = {
    "copy_words": _copy_words,
    "copy_letters": _copy_letters,
    "reverse_list": _reverse_list,
    "induction": _induction,
    "recall_near": _recall(4),
    "recall_far": _recall(FILLER),
    "repeated_document": _repeated_document,
    "dates": _date,
    "new_labels": _new_labels,
    "json_record": _json_record,
    "brackets": _brackets,
    "count_words": _count_words,
    "count_letters": _count_letters,
    "sort_numbers": _sort_numbers,
    "sort_words": _sort_words,
    "larger_number": _larger,
    "number_series": _series,
    "python_value": _python_value,
    "capitals": _of(CAPITALS, "The capital of {} is"),
    "opposites": _of(OPPOSITES, "The opposite of {} is"),
    "french": _french,
}
