"""Items made at random are what they must be: rules that make sense on their tables, and can be told from their descriptions."""

from collections import Counter

from tenfold.codefusion.rules.check import check_table, read_rule
from tenfold.codefusion.rules.evaluate import evaluate
from tenfold.codefusion.rules.functions import FUNCTIONS
from tenfold.codefusion.rules.generate import generate
from tenfold.codefusion.rules.match import TODAY
from tenfold.codefusion.rules.syntax import Argument, Call, Number, Text
from tenfold.codefusion.rules.words import DATE_COLUMNS, NUMBER_COLUMNS, TEXT_COLUMNS
from tenfold.codefusion.rules.write import number, write

POOLS = (NUMBER_COLUMNS, TEXT_COLUMNS, DATE_COLUMNS)
WORDS = ("archive", "reactor", "install", "remote branch", "don't", "x,y", "f(", "0")
ITEMS = list(generate(2500, seed=3))
OWN = list(generate(2500, seed=3, words=WORDS))


def constants(rule: Call) -> list[Argument]:
    return [*rule.arguments, *(c for inside in rule.calls() for c in constants(inside))]


def test_the_seed_decides():
    assert list(generate(20, seed=3)) == ITEMS[:20]
    assert [item.code for item in generate(20, seed=4)] != [item.code for item in ITEMS[:20]]


def test_rules_make_sense_on_their_tables():
    for item in ITEMS + OWN:
        rule = read_rule(item.code)
        check_table(rule, item.table, item.code)
        assert write(rule) == item.code


def test_most_rules_pick_some_cells_and_not_all():
    some = 0
    for item in ITEMS:
        cells = evaluate(read_rule(item.code), item.table, TODAY).cells
        some += 0 < sum(cells) < len(cells)
    assert some > 0.75 * len(ITEMS)


def test_every_function_occurs():
    used = Counter(name for item in ITEMS for name in FUNCTIONS if f"{name}(" in item.code)
    assert set(used) == set(FUNCTIONS)


def test_descriptions_hold_the_constants():
    """What a rule is given must be copied from somewhere. (The highest is Top(1).)"""
    for item in ITEMS + OWN:
        for constant in constants(read_rule(item.code)):
            if isinstance(constant, Text):
                assert constant.value in item.text
            if isinstance(constant, Number) and constant.value != 1:
                assert number(constant.value) in item.text.replace(",", "")


def test_descriptions_differ():
    assert len({item.text for item in ITEMS}) > 0.9 * len(ITEMS)


def test_texts_and_columns_are_made_of_the_callers_words():
    heads = {name for item in OWN for name in item.table.header} - {name for item in ITEMS for name in item.table.header}
    assert "Reactor" in heads and "Install Archive" in heads
    assert sum("ARCHIVE" in item.code for item in OWN) > 20


def test_a_column_is_named_unless_it_is_the_one_of_its_kind():
    """The description has the column's name or one of its words, or no other column is of its kind."""
    silent = 0
    for item in ITEMS:
        rule = read_rule(item.code)
        if rule.column is None:
            continue
        words = item.table.header[rule.column.index].lower().split()
        if not any(word in item.text.lower() for word in words):
            silent += 1
            own = next(pool for pool in POOLS if item.table.header[rule.column.index] in pool)
            assert sum(name in own for name in item.table.header) == 1
    assert 0 < silent < 0.2 * len(ITEMS)
