"""What the same answers are worth by a coarse measure and by finer ones, item by item, and what they would be worth by chance.

    exact      1 where the answer is right, else 0
    logprob    the log-probability of the right answer, nats: it says how nearly an answer would have been right
    tokens     1 - (edit distance of the written answer from the right one, in tokens) / (the longer one's tokens)
    letters    the same in letters, which does not depend on the tokenizer
    brier      the squared error of the probabilities of the right answer and the wrong ones beside it; lower is better

Chance is measured, not assumed: what the model wrote is graded against the answers of other items too, and the probability of the right
answer is beside those of wrong ones. So what is above chance is more than to know what answers look like. (Accuracy among a task's own
choices has one over their number for its chance.)
`centred` is 0 at chance and, but for logprob, 1 where all is right.

Sources: Schaeffer et al. 2023, "Are emergent abilities of large language models a mirage?" (edit distance, Brier score against the
discontinuous metrics); Brier 1950; Li et al. 2024, DCLM (centred). Shapes: N items.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.evaluate.metrics import worth
from tenfold.evaluate.results import Item, Result

COARSE = "exact"
NAMED = {
    "logprob": "log-probability",
    "tokens": "edit distance in tokens",
    "letters": "edit distance in letters",
    "brier": "Brier score",
}
FINER = tuple(NAMED)
PARTNERS = 4  # other items whose answers each written one is graded against, to know its chance

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Grade:
    """One model's answers by one measure."""

    value_N: np.ndarray
    """As the measure is defined above."""
    chance: float
    """The mean that it would have by chance."""
    centred_N: np.ndarray
    """Each item's part of the score without chance: higher is better, of every measure."""


def grades(
    among: tuple[Result, Sequence[Item]], written: tuple[Result, Sequence[Item]] | None, encode: Encode, beginning: bool = False
) -> dict[str, Grade]:
    """By measure, of one model's results of the probes of a task (probes.py). `encode` is of its tokenizer.

    `beginning`: an answer is right where it is how the writing begins, as tasks of the metric greedy have it, so that only as much of the
    writing as the answer is long is compared.
    """
    result, items = among
    finer = {"logprob": _logprob(items), "brier": _brier(items)}
    if written is None:
        return {COARSE: _accuracy(result, items), **finer}
    texts = [item.written[0].strip() for item in written[1]]
    answers = [[answer.strip() for answer in item.answers] for item in written[1]]
    partners = _partners(len(texts))

    def graded(own_N: Sequence[float], grade: Callable[[str, Sequence[str]], float]) -> Grade:
        """With the chance that the same texts have against the answers of other items."""
        other = [grade(texts[one], answers[another]) for one, another in partners]
        return _share(np.array(own_N, np.float64), float(np.mean(other)))

    def near(units: Callable[[str], Sequence]) -> Grade:
        def grade(text: str, right: Sequence[str]) -> float:
            return max(similarity(units(text), units(answer), beginning) for answer in right)

        return graded([grade(text, right) for text, right in zip(texts, answers, strict=True)], grade)

    if beginning:
        greedy = [float(item.greedy[item.gold]) for item in items]
        exact = graded(greedy, lambda text, right: float(any(text.startswith(answer) for answer in right)))
    else:
        own, metric = written[0].own, written[0].about["metric"]
        exact = graded([item.score[own] for item in written[1]], lambda text, right: worth(metric, text, right)[own])
    return {COARSE: exact, "tokens": near(lambda text: encode(f" {text}")), "letters": near(str), **finer}


def similarity(written: Sequence, answer: Sequence, beginning: bool = False) -> float:
    """1 for the same letters or tokens, 0 where each must be changed. `beginning`: what is written beyond the answer's length is not
    looked at."""
    written = written[: len(answer)] if beginning else written
    longer = max(len(written), len(answer))
    return 1 - edit_distance(written, answer) / longer if longer else 1.0


def edit_distance(one: Sequence, other: Sequence) -> int:
    """The fewest insertions, deletions and replacements that make one of the other (Levenshtein)."""
    before = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b)))
        before = row
    return before[-1]


def brier(logprobs: Sequence[float], gold: int) -> float:
    """The squared distance of the choices' probabilities, made to sum to one, from all of it on the right one: 0 to 2."""
    values_C = np.array(logprobs, np.float64)
    p_C = np.exp(values_C - values_C.max())
    p_C /= p_C.sum()
    p_C[gold] -= 1
    return float((p_C**2).sum())


def _brier(items: Sequence[Item]) -> Grade:
    """Chance is what the same probabilities are worth with a wrong answer taken for the right one: a model that is sure of itself without
    knowing the question does worse than even probabilities would, and that is no sign of what it knows. What is left, halved, is 1 at best:
    it is by how much the right answer's probability is above the mean of the wrong ones'."""
    value_N = np.array([brier(item.logprobs, item.gold) for item in items])
    wrong = [[brier(item.logprobs, place) for place in range(len(item.logprobs)) if place != item.gold] for item in items]
    chance_N = np.array([np.mean(each) for each in wrong])
    return Grade(value_N, float(chance_N.mean()), (chance_N - value_N) / 2)


def _logprob(items: Sequence[Item]) -> Grade:
    value_N = np.array([item.logprobs[item.gold] for item in items])
    wrong_N = np.array([np.delete(item.logprobs, item.gold).mean() for item in items])
    return Grade(value_N, float(wrong_N.mean()), value_N - wrong_N)


def _accuracy(result: Result, items: Sequence[Item]) -> Grade:
    """Of a task of choices, by its own rule."""
    return _share(np.array([item.score[result.own] for item in items]), result.chance or 0.0)


def _share(value_N: np.ndarray, chance: float) -> Grade:
    """A measure of which 1 is perfect. Where chance itself is perfect, nothing can be above it."""
    return Grade(value_N, chance, np.zeros_like(value_N) if chance >= 1 else (value_N - chance) / (1 - chance))


def _partners(count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Pairs of different items, each item the first of the same number of them and the second of as many."""
    order = random.Random(seed).sample(range(count), count)
    steps = range(1, min(PARTNERS, count - 1) + 1)
    return [(order[place], order[(place + step) % count]) for step in steps for place in range(count)]
