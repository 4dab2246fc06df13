"""What a candidate is worth beside the code that is right, and how unlike the samples of a text are. Pure; shares from 0 to 1.

    exact       the same letters, spaces around it aside
    template    Bash: the same utilities, flags and structure, arguments aside (bash.py)
    ast         Python: the same syntax tree, so that quotes, spaces and parentheses do not count
    execution   rules: both do the same to the item's cells; made columns stand in where it has none (rules/match.py)
                Python, where it may be run: both do the same with made-up values (running.py); the tree, where the right code cannot be run
    made        rules: both do the same to all made columns, which is stricter
    embedding   BERTScore's F1 (Zhang et al. 2020) over rows of a table of tokens, without weights: as CodeBERTScore, but out of context
    valid       the language's own parser reads it

Diversity is as CodeFusion's table has it: the share of token n-grams that are different, the mean edit distance of two samples over the
longer one's letters, and the mean cosine of two samples' mean rows of the table.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.codefusion.bash import template_match
from tenfold.codefusion.data import Example
from tenfold.codefusion.languages import syntax_tree, valid
from tenfold.codefusion.rules.match import execution_match
from tenfold.codefusion.rules.syntax import RuleError
from tenfold.evaluate.grades import similarity

OWN = {"bash": "template", "python": "ast", "cf": "execution"}
"""The metric that a language's items are first judged by."""
METRICS = {"bash": ("template", "exact"), "python": ("ast", "exact"), "cf": ("execution", "made", "exact")}
TOKEN = re.compile(r"\w+|[^\w\s]")
LONGEST_GRAM = 4


@dataclass(frozen=True)
class Table:
    """Rows that tokens are compared by."""

    encode: Callable[[str], Sequence[int]]
    rows_VD: np.ndarray
    """Each of length 1."""

    def rows(self, code: str) -> np.ndarray:
        """f32[T, D]."""
        return self.rows_VD[np.asarray(self.encode(code), np.int64)]


def worth(language: str, example: Example, candidate: str, table: Table | None = None) -> dict[str, float]:
    """The worth of a candidate by each metric of the language. Raises UserError for data that cannot be read."""
    found = {"exact": float(candidate.strip() == example.code.strip()), "valid": float(valid(language, candidate))}
    if language == "bash":
        found["template"] = float(template_match(example.code, candidate))
    elif language == "python":
        found["ast"] = float(same_tree(example.code, candidate))
    else:
        found |= _rule_worth(example, candidate, found["exact"])
    if table is not None:
        found["embedding"] = embedding_match(table, example.code, candidate)
    return found


def _rule_worth(example: Example, candidate: str, exact: float) -> dict[str, float]:
    try:
        match = execution_match(example.code, candidate, [list(row) for row in example.data] or [["Value"]])
    except RuleError:  # the right rule itself cannot be read: nothing but its letters can be compared
        return {"execution": exact, "made": exact}
    return {"execution": float(match.matches), "made": float(match.on_made)}


def same_tree(gold: str, candidate: str) -> bool:
    """Whether two pieces of Python have the same syntax tree; of a right one that does not parse, whether the words are the same."""
    expected = syntax_tree(gold)
    return gold.split() == candidate.split() if expected is None else expected == syntax_tree(candidate)


def embedding_match(table: Table, gold: str, candidate: str) -> float:
    """F1 of each token's greatest cosine with one of the other's."""
    said_TD, wanted_TD = table.rows(candidate), table.rows(gold)
    if not len(said_TD) or not len(wanted_TD):
        return float(len(said_TD) == len(wanted_TD))
    cosine_TT = said_TD @ wanted_TD.T
    precision, recall = float(cosine_TT.max(1).mean()), float(cosine_TT.max(0).mean())
    return max(0.0, 2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


def diversity(samples: Sequence[str], table: Table | None = None) -> dict[str, float]:
    """How unlike the samples of one text are; empty of fewer than two. More is more diverse, but for `likeness`, where a table is given."""
    if len(samples) < 2:
        return {}
    pairs = list(itertools.combinations(samples, 2))
    found = {"different": len(set(samples)) / len(samples)}
    found |= {f"{n}-grams": different_grams(samples, n) for n in range(1, LONGEST_GRAM + 1)}
    found["edits"] = float(np.mean([1 - similarity(one, other) for one, other in pairs]))
    if table is not None:
        means = {code: table.rows(code).sum(0) for code in set(samples)}
        found["likeness"] = float(np.mean([_cosine(means[one], means[other]) for one, other in pairs]))
    return found


def different_grams(samples: Sequence[str], n: int) -> float:
    """Different runs of n tokens over all of them in all samples; those of a shorter sample are the whole of it."""
    grams = []
    for code in samples:
        tokens = TOKEN.findall(code)
        grams += [tuple(tokens[i : i + n]) for i in range(max(1, len(tokens) - n + 1))]
    return len(set(grams)) / len(grams)


def _cosine(one_D: np.ndarray, other_D: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one_D) * np.linalg.norm(other_D))
    return float(one_D @ other_D) / lengths if lengths else float(not one_D.any() and not other_D.any())
