"""CodeFusion's released conditional formatting rules as the rule language reads them, and their labels beside what the rules do.

    python benchmarks/codefusion_rules.py FOLDER

FOLDER holds cf_train.jsonl and cf_test.jsonl, a released item a line, the same of bash and python, and perhaps pretrain_cf.txt, a rule a
line. Printed are first how many pairs of each language parse and stand in train and test both, and of made-up rules the share that pick
some rows and not all (Bash takes the extra `codefusion`). Then the shares of
rules that parse, that print back to the same text and to the same rule, and that run and match themselves; and by function, of the items
that have a label a row, the number whose labels are what the rule does, and what it does not (negated), and the same of cells.
"""

import argparse
import json
from collections import Counter
from functools import partial
from pathlib import Path

from tenfold.codefusion.data import deduplicated, read_examples
from tenfold.codefusion.languages import form, valid
from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.evaluate import evaluate
from tenfold.codefusion.rules.generate import generate
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


def pairs(folder: Path, language: str) -> dict:
    """Items of a language's two files, and of test those that are new."""
    train, test = (read_examples(folder / f"{language}_{part}.jsonl") for part in ("train", "test"))
    split = deduplicated(train.examples, test.examples, partial(form, language))
    return {
        "train": len(train.examples),
        "test": len(split.all),
        "without text": (train.without_text, test.without_text),
        "in train too": {"pair": split.same_pair, "code": split.same_code, "text": split.same_text},
        "new": len(split.new),
        "valid": [round(sum(valid(language, e.code) for e in part) / len(part), 4) for part in (train.examples, split.all)],
    }


def made_share(count: int) -> float:
    """The share of made-up rules that pick some rows of their table and not all."""
    picked = [evaluate(read_rule(item.code), item.table, TODAY).cells for item in generate(count, seed=0)]
    return sum(any(cells) and not all(cells) for cells in picked) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for language in ("bash", "python", "cf"):
        print(language, pairs(folder, language))
    print("made up: pick some rows and not all", made_share(3000))
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
