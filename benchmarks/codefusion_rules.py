"""CodeFusion's released conditional formatting rules as the rule language reads them, and their labels beside what the rules do.

    python benchmarks/codefusion_rules.py FOLDER

FOLDER holds cf_train.jsonl and cf_test.jsonl, a released item a line, and perhaps pretrain_cf.txt, a rule a line. Printed are the shares of
rules that parse, that print back to the same text and to the same rule, and that run and match themselves; and by function, of the items
that have a label a row, the number whose labels are what the rule does, and what it does not (negated), and the same of cells.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.evaluate import evaluate
from tenfold.codefusion.rules.match import TODAY, execution_match
from tenfold.codefusion.rules.parse import parse
from tenfold.codefusion.rules.syntax import RuleError
from tenfold.codefusion.rules.write import write


def written(codes: list[str]) -> Counter:
    """How many of the rules parse, and print back."""
    counts: Counter = Counter(rules=len(codes))
    for code in codes:
        try:
            rule = read_rule(code)
        except RuleError:
            continue
        counts.update(parse=1, same_rule=parse(write(rule)) == rule, same_text=write(rule) == code)
    return counts


def labelled(items: list[dict]) -> dict[str, Counter]:
    """By function: items with a label for each row of data (the first label is the header's), and those whose labels the rule gives."""
    found: dict[str, Counter] = {}
    for item in items:
        labels = [bool(label) for label in item["Labels"][1:]]
        if len(item["Data"]) < 2 or len(labels) != len(item["Data"]) - 1:
            continue
        try:
            rule = read_rule(item["Code"])
        except RuleError:
            continue
        does = list(evaluate(rule, read_table(item["Data"]), TODAY).cells)
        counts = found.setdefault(rule.name, Counter())
        counts.update(items=1, excel=does == labels, negated=[not cell for cell in does] == labels)
        counts.update(cells=len(labels), equal_cells=sum(a == b for a, b in zip(does, labels, strict=True)))
        counts.update(all_one_label=len(set(labels)) == 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for part in ("train", "test"):
        items = [json.loads(line) for line in (folder / f"cf_{part}.jsonl").read_text().splitlines()]
        print(part, dict(written([item["Code"] for item in items])))
        print(f"  header only: {sum(len(item['Data']) == 1 for item in items)}; labels [0]: {sum(item['Labels'] == [0] for item in items)}")
        run: Counter = Counter()
        for item in items:
            try:
                match = execution_match(item["Code"], item["Code"], item["Data"])
            except RuleError:
                continue
            cells = evaluate(read_rule(item["Code"]), read_table(item["Data"]), TODAY).cells
            rows = match.on_data is not None
            run.update(run=1, itself=match.matches, with_rows=rows, picks_none=rows and not any(cells), picks_all=rows and all(cells))
        print("  ", dict(run))
        table = labelled(items)
        for name, counts in sorted(table.items(), key=lambda pair: -pair[1]["items"]):
            print("  ", name, dict(counts))
        print("  ", "all", dict(sum(table.values(), Counter())))
    snippets = folder / "pretrain_cf.txt"
    if snippets.exists():
        lines = snippets.read_text().split("\n")
        print("snippets", dict(written(lines)), "different", len(set(lines)))


if __name__ == "__main__":
    main()
