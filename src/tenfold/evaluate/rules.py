"""Ways to choose among answers by how likely a model finds them, all from the same likelihoods.

A task's published score depends on which of them was used: GPT-J's HellaSwag is 66.1 by one and 51.8 by another. So all are reported,
by name, and the task's own is marked.

Source: Brown et al. 2020, section 2.4 (token, and P(answer | context) / P(answer | "Answer:")); Gao 2021, "Multiple Choice
Normalization in LM Evaluation" (byte, empty). Shapes: C choices.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from tenfold.evaluate.requests import Likelihood

Rule = Literal["sum", "token", "byte", "char", "answer", "empty"]
RULES: tuple[Rule, ...] = get_args(Rule)
WHAT: dict[str, str] = {
    "sum": "the log-probability of the whole answer",
    "token": "the same, over its number of tokens",
    "byte": "the same, over its UTF-8 bytes, the space before it left out",
    "char": "the same, over its characters, the space before it left out",
    "answer": 'the same, less its log-probability under the bare context "Answer:"',
    "empty": "the same, less its log-probability at the start of a document",
}
"""Each rule in words."""


def values(
    texts: Sequence[str], scored: Sequence[Likelihood], bare: Sequence[Likelihood] = (), empty: Sequence[Likelihood] = ()
) -> dict[Rule, np.ndarray]:
    """f64[C] by rule: the highest is the model's answer. Without `bare` or `empty` likelihoods, the rule that needs them is left out.

    Lengths leave out the space between the question and an answer, which belongs to neither, as lm-eval's do.
    """
    total_C = np.array([each.total for each in scored], np.float64)
    bare_texts = [text.lstrip() for text in texts]
    found: dict[Rule, np.ndarray] = {
        "sum": total_C,
        "token": total_C / _lengths(each.tokens for each in scored),
        "byte": total_C / _lengths(len(text.encode()) for text in bare_texts),
        "char": total_C / _lengths(len(text) for text in bare_texts),
    }
    if bare:
        found["answer"] = total_C - np.array([each.total for each in bare])
    if empty:
        found["empty"] = total_C - np.array([each.total for each in empty])
    return found


def pick(values_C: np.ndarray) -> int:
    """Which choice a rule takes; of equals, the first."""
    return int(np.argmax(values_C))


def margin(values_C: np.ndarray, gold: int) -> float:
    """How far the right choice is above the best of the others: positive where the model is right. Infinite where there are no others."""
    others = np.delete(values_C, gold)
    return float(values_C[gold] - others.max()) if len(others) else float("inf")


def _lengths(counts) -> np.ndarray:
    """At least 1, so that an empty answer has a score."""
    return np.maximum(1, np.fromiter(counts, np.float64))
