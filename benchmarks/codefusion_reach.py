"""How far answers to Bash's new test items can reach: the templates that training has, and the items that anything scored got right.

    python benchmarks/codefusion_reach.py --out DIR

DIR is that of codefusion.py, with the folders of scores that ANSWERED names.
"""

import argparse
import json
from pathlib import Path

from tenfold.codefusion.bash import template
from tenfold.codefusion.data import read_examples

ANSWERED = (
    ("bash-reader", "bash-masked-second-reader"),
    ("bash-reader", "bash-autoregressive-second-reader"),
    ("bash-reader-retrieved", "bash-autoregressive-second-reader"),
    ("bash-reader-meaning-together-seeds0-1-64-t1", "together"),
    ("bash-reader", "retrieval"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    learned = {template(each.code) for each in read_examples(str(out / "data" / "bash" / "second.jsonl"), "train").examples} - {None}
    files = [(out / "scores" / folder / f"{name}.jsonl").read_text().splitlines() for folder, name in ANSWERED]
    items = [[json.loads(line) for line in lines] for lines in zip(*files, strict=True)]
    new = [each for each in items if each[0]["new"]]
    known = sum(template(each[0]["gold"]) in learned for each in new)
    right = sum(any(max(row["scores"]["template"]) for row in each) for each in new)
    print(f"{len(new)} new items; {known} with a template that occurs in training; {right} right in some answer, {right / len(new):.1%}")


if __name__ == "__main__":
    main()
