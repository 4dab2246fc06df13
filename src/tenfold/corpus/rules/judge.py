"""All rules by name, and the judgement of documents by some of them."""

from collections.abc import Iterable, Mapping

from tenfold.corpus.rules import c4, gopher
from tenfold.corpus.rules.rule import Parts, Rule
from tenfold.errors import UserError

RULES: dict[str, Rule] = {**c4.PAGES, **gopher.QUALITY, **gopher.REPETITION}
"""Every rule of whole documents. `dataclasses.replace(RULES[name], most=...)` is the rule with another threshold."""


def chosen(names: Iterable[str]) -> dict[str, Rule]:
    """The rules of these names, in this order; a name without its last part ("gopher") is all that begin so.

    Raises UserError for a name that no rule has.
    """
    found: dict[str, Rule] = {}
    for name in names:
        rules = {known: rule for known, rule in RULES.items() if known == name or known.startswith(f"{name}.")}
        if not rules:
            raise UserError(f"There is no rule {name!r}.\n  The rules are {', '.join(RULES)}.")
        found |= rules
    return found


def judge(texts: list[str], rules: Mapping[str, Rule]) -> list[str]:
    """The name of the first rule that each text breaks, or ""."""
    return [_first_broken(Parts(text), rules) for text in texts]


def _first_broken(parts: Parts, rules: Mapping[str, Rule]) -> str:
    return next((name for name, rule in rules.items() if rule.breaks(parts)), "")


def judge_all(texts: list[str], rules: Mapping[str, Rule]) -> list[list[str]]:
    """The names of all rules that each text breaks: what each rule alone would drop."""
    broken = []
    for text in texts:
        parts = Parts(text)
        broken.append([name for name, rule in rules.items() if rule.breaks(parts)])
    return broken
