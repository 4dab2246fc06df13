"""Execution match: whether two rules do the same to cells.

CodeFusion's paper scores rules by running them, but the released test labels are all [0] and some items have a header without rows. So the
gold rule and the candidate both run here: on the item's data, and on columns made around the constants of both.
"""

import datetime
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tenfold.codefusion.rules.cells import LARGEST, Cell, ErrorValue, Table, read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.evaluate import evaluate
from tenfold.codefusion.rules.syntax import Argument, Call, Column, Date, Number, Reference, RuleError, Text
from tenfold.codefusion.rules.write import write

MADE_TABLES = 6
MADE_ROWS = 40
MADE_COLUMNS = 64
"""Columns beyond are blank, as those are that a table has not: a rule may name any."""
TODAY = datetime.date(2023, 1, 15)
"""What LastMonth and its kind count from in a score, so that it does not change overnight: a day shortly after the released data's last."""


@dataclass(frozen=True)
class Match:
    """Whether a candidate does what the gold rule does."""

    on_data: bool | None
    """None: the item has no rows."""
    on_made: bool
    """On every made table. Stricter than the item's data, where rules may agree by chance, as where neither picks a cell."""
    wrong: str = ""
    """Why the candidate could not run; it then matches nowhere."""

    @property
    def matches(self) -> bool:
        """The score: on the data where there is any, else on made columns."""
        return self.on_made if self.on_data is None else self.on_data


def execution_match(gold: str, candidate: str, data: Sequence[Sequence[Any]], today: datetime.date = TODAY, seed: int = 0) -> Match:
    """Runs both rules on the data (a header, then rows) and on made tables. They match where they pick the same rows and draw the same.

    Raises RuleError where the gold rule cannot be read, and UserError where the data cannot; a candidate that cannot be read is a miss.
    """
    right, table = read_rule(gold), read_table(data)
    try:
        other = read_rule(candidate)
    except RuleError as wrong:
        return Match(False if table.rows else None, False, str(wrong))
    made = made_tables((right, other), table.header, today, seed)
    on_data = _same(right, other, table, today) if table.rows else None
    return Match(on_data, all(_same(right, other, one, today) for one in made))


def effects(
    codes: Sequence[str], data: Sequence[Sequence[Any]] = (), today: datetime.date = TODAY, seed: int = 0
) -> list[tuple[tuple[str, tuple[bool, ...]], ...] | None]:
    """What each rule does to the data or, where that has no rows, to tables made of all the rules' constants: alike where they do the same.
    None of a rule that cannot be read. Raises UserError where the data cannot."""
    table = read_table([list(row) for row in data] or [["Value"]])
    read = {code: rule for code in {*codes} if (rule := _read(code)) is not None}
    tables = [table] if table.rows else made_tables([read[code] for code in sorted(read)], table.header, today, seed)
    outcomes = {code: [evaluate(rule, one, today) for one in tables] for code, rule in read.items()}
    found = {code: tuple((outcome.draws, outcome.cells) for outcome in each) for code, each in outcomes.items()}
    return [found.get(code) for code in codes]


def _read(code: str) -> Call | None:
    try:
        return read_rule(code)
    except RuleError:
        return None


def _same(one: Call, other: Call, table: Table, today: datetime.date) -> bool:
    left, right = evaluate(one, table, today), evaluate(other, table, today)
    return left.draws == right.draws and left.cells == right.cells


def made_tables(rules: Sequence[Call], header: Sequence[str], today: datetime.date = TODAY, seed: int = 0) -> list[Table]:
    """Tables on which rules that differ are likely to differ: their constants and what lies beside them, blanks, errors, repeats, dates.

    Columns are of numbers, of texts, of dates and of all together in turn. The same rules and seed give the same tables.
    """
    rng = random.Random(f"{seed} {[write(rule) for rule in rules]}")
    constants = [constant for rule in rules for constant in _constants(rule)]
    wide = max([len(header), *(min(c.index + 1, MADE_COLUMNS) for c in constants if isinstance(c, Column))])
    names = (*header, *(f"made {i}" for i in range(len(header), wide)))
    rows = max([MADE_ROWS, *(2 * int(count) for rule in rules for count in _counts(rule))])  # Top(20) and Top(30) differ on 31 and more
    pools = _pools(constants, rng, today, rows)
    kinds = [*pools, "mixed", "mixed"]
    tables = []
    for i in range(MADE_TABLES):
        columns = [_column(pools, kinds[i % len(kinds)] if rng.random() < 0.8 else "mixed", rng, rows) for _ in names]
        tables.append(Table(tuple(names), tuple(zip(*columns, strict=True))))
    return tables


def _counts(rule: Call) -> list[float]:
    """How many cells the ranks of a rule pick."""
    own = [rule.rank()] if rule.name in ("Top", "Bottom") else []
    return own + [count for inside in rule.calls() for count in _counts(inside)]


def _constants(rule: Call) -> list[Argument]:
    """Everything a rule is given, and what the rules in it are."""
    own: list[Argument] = [*rule.arguments, *([rule.column] if rule.column else [])]
    return [c for c in own if not isinstance(c, Call)] + [c for inside in rule.calls() for c in _constants(inside)]


def _pools(constants: Sequence[Argument], rng: random.Random, today: datetime.date, rows: int) -> dict[str, list[Cell]]:
    """Cells to draw from, by kind."""
    numbers: list[Cell] = [float(rng.randint(-50, 50)) if i % 2 else round(rng.gauss(0, 30), 2) for i in range(rows)]
    words = ["alpha", "Beta", "gamma ray", "x", "A1", "no", " "]
    dates: list[Cell] = [_midnight(today) + datetime.timedelta(days=rng.randint(-70, 70)) for _ in range(rows)]
    for constant in constants:
        match constant:
            case Number():
                step = abs(constant.value) / 100 or 0.01
                numbers += [constant.value + shift for shift in (0, 0, 1, -1, step, -step, 0.5, -0.5)]
                numbers += [-constant.value, min(max(constant.value * 2, -LARGEST), LARGEST)]
            case Text():
                t = constant.value
                words += [t, t, t.upper(), t.lower(), t + " x", "x " + t, f"x {t} x", t[:-1], t[1:], t + t]
            case Date():
                dates += [_midnight(constant.value) + datetime.timedelta(days=shift) for shift in (-1, 0, 0, 1, 0.5)]
            case Reference() | Column():
                pass
    texts: list[Cell] = [word for word in words if word]
    return {"numbers": numbers, "texts": texts, "dates": dates}


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day)


def _column(pools: dict[str, list[Cell]], kind: str, rng: random.Random, rows: int) -> list[Cell]:
    """A column of one kind with a few blanks and errors in it, or one of all kinds."""
    if kind == "mixed":
        pool = [cell for cells in pools.values() for cell in rng.choices(cells, k=rows)] + [True, False]
    else:
        pool = pools[kind]
    odd: list[Cell] = [None, ErrorValue("#N/A"), ErrorValue("#DIV/0!")]
    return [rng.choice(odd) if rng.random() < 0.1 else rng.choice(pool) for _ in range(rows)]
