"""What a written text is worth beside the answers that count as right: shares from 0 to 1, by name of the metric.

Sources: the official scripts of SQuAD (normalisation, exact match, F1), CoQA (each human answer left out in turn), DROP (spans aligned,
numbers must agree) and GSM8K (the number at the end); Chen et al. 2021, equation 1 (pass@k).
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tenfold.errors import UserError

NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?|-?\$?\.\d+")
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def worth(metric: str, written: str, answers: Sequence[str]) -> dict[str, float]:
    """Every figure of the metric, that by which the task's score goes first. Raises UserError for a name that is none."""
    if metric not in METRICS:
        raise UserError(f"metric is {metric!r}: of what is written, it is one of {', '.join(METRICS)}")
    if not answers:
        raise UserError("an item has no answers: nothing that is written can be right")
    return METRICS[metric](written, answers)


def exact(written: str, answers: Sequence[str]) -> dict[str, float]:
    """The same letters, but for spaces around them."""
    return {"exact": float(any(written.strip() == answer.strip() for answer in answers))}


def normalised(written: str, answers: Sequence[str]) -> dict[str, float]:
    """Exact match of what SQuAD's normalisation leaves, the best of the answers (TriviaQA, NQ, WebQs)."""
    return {"exact": max(_same(written, answer) for answer in answers)}


def f1(written: str, answers: Sequence[str]) -> dict[str, float]:
    """SQuAD's F1 of words, and its exact match, each the best of the answers."""
    return {"f1": max(overlap(written, answer) for answer in answers), **normalised(written, answers)}


def f1_coqa(written: str, answers: Sequence[str]) -> dict[str, float]:
    """As f1, the mean over the answers of the best without that one: so people, who are measured against the others, can be compared."""
    if len(answers) == 1:
        return f1(written, answers)
    found = [f1(written, [*answers[:left_out], *answers[left_out + 1 :]]) for left_out in range(len(answers))]
    return {name: sum(one[name] for one in found) / len(found) for name in ("f1", "exact")}


def f1_drop(written: str, answers: Sequence[str]) -> dict[str, float]:
    """DROP's F1 and exact match. An answer holds its spans a line each; what is written is cut at commas where the answer has several.

    Empty answers, which the set has, do not count.
    """
    best = {"f1": 0.0, "exact": 0.0}
    for answer in answers:
        gold = answer.split("\n")
        if not gold[0].strip():
            continue
        spans = [span for span in written.split(", ")] if len(gold) > 1 else [written]
        said, wanted = [[_drop_words(span) for span in side] for side in (spans, gold)]
        same = sorted(map(" ".join, said)) == sorted(map(" ".join, wanted))
        best = {"f1": max(best["f1"], _aligned(said, wanted)), "exact": max(best["exact"], float(same))}
    return best


def number(written: str, answers: Sequence[str]) -> dict[str, float]:
    """GSM8K: the number after "####", or the last number where that mark is missing, is the answer's. 1,000 and $1000.00 are the same."""
    found = last_number(written)
    return {"exact": float(found is not None and any(found == last_number(answer) for answer in answers))}


def contains(written: str, answers: Sequence[str]) -> dict[str, float]:
    """Whether an answer stands in it as whole words, in large letters or small: "Paris" in "It is Paris.", but "no" not in "Nothing"."""
    return {"exact": float(any(re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", written, re.IGNORECASE) for answer in answers))}


def regex(written: str, answers: Sequence[str]) -> dict[str, float]:
    """Whether one of the answers, which are regular expressions, fits somewhere in it. Raises UserError for one that is none."""
    try:
        return {"exact": float(any(re.search(answer, written.strip()) for answer in answers))}
    except re.error as error:
        raise UserError(f"{error.pattern!r} is no regular expression: {error}.\n  Mend it among the answers.") from error


def last_number(text: str) -> float | None:
    """The number after the first "####", or the last one; None where there is none."""
    marked = text.partition("####")[2]
    numbers = NUMBER.findall(marked)[:1] or NUMBER.findall(text)[-1:]
    return float(numbers[0].replace(",", "").replace("$", "")) if numbers else None


def pass_at(k: int, samples: int, right: int) -> float:
    """The chance that one of k of the samples is right, without bias: 1 - C(n - c, k) / C(n, k). Raises UserError where k is not 1 to n."""
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise UserError(f"pass@{k} of {samples} samples, {right} of them right: k is 1 to the number of samples; write more of them")
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def normal(text: str) -> str:
    """SQuAD's normalisation: small letters, no punctuation, no articles, single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def overlap(written: str, answer: str) -> float:
    """F1 of the words of two texts after normalisation. Of texts without words: 1 where both have none, else 0."""
    said, wanted = normal(written).split(), normal(answer).split()
    if not said or not wanted:
        return float(said == wanted)
    return _harmonic(sum((Counter(said) & Counter(wanted)).values()), len(said), len(wanted))


def _same(written: str, answer: str) -> float:
    return float(normal(written) == normal(answer))


def _harmonic(common: int, said: int, wanted: int) -> float:
    return 2 * common / (said + wanted) if common else 0.0


def _aligned(said: list[list[str]], wanted: list[list[str]]) -> float:
    """The mean F1 of the best one-to-one pairing of spans; spans without a partner count 0. Two decimals, as DROP's script."""
    scores = np.array([[_bags(one, other) for other in said] for one in wanted])
    from scipy.optimize import linear_sum_assignment  # takes most of a second, and few tasks need it

    rows, columns = linear_sum_assignment(-scores)
    return round(float(scores[rows, columns].sum()) / max(scores.shape), 2)


def _bags(wanted: list[str], said: list[str]) -> float:
    """F1 of two sets of words; 0 where one has numbers and the other none of them."""
    one, other = set(wanted), set(said)
    numbers = {word for word in one if _is_number(word)}
    if numbers and not numbers & other:
        return 0.0
    if not one or not other:  # DROP's script: nothing is precise, and finds all of nothing
        return 1.0 if one == other else 0.0
    return _harmonic(len(one & other), len(other), len(one))


def _drop_words(text: str) -> list[str]:
    """DROP's normalisation: cut at spaces and hyphens; numbers as floats, other words as SQuAD's."""
    words = []
    for token in re.split(" |-", text.lower()):
        bare = token if _is_number(token) else token.translate(PUNCTUATION)
        bare = str(float(bare)) if _is_number(bare) else bare
        words += ARTICLES.sub(" ", bare).split()
    return words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


METRICS: dict[str, Callable[[str, Sequence[str]], dict[str, float]]] = {
    "exact": exact,
    "normalised": normalised,
    "f1": f1,
    "f1_coqa": f1_coqa,
    "f1_drop": f1_drop,
    "number": number,
    "contains": contains,
    "regex": regex,
}
