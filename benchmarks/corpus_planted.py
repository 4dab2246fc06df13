"""Questions of an evaluation set planted into documents, and what decontamination makes of them.

    python benchmarks/corpus_planted.py plant gsm8k.jsonl press planted
    tenfold corpus build benchmarks/corpus_planted.yaml --out corpora/planted
    python benchmarks/corpus_planted.py check gsm8k.jsonl press planted corpora/planted

gsm8k.jsonl is the training half of openai/grade-school-math: any lines with a "question" will do. `press` is a folder of texts, such as
corpus_brown.py makes. Of its files in their order the first 20 get one question each, in the middle; the next 5 get 12 each; the next
12 all get the same one, which is then in more than 10 documents and says nothing, by the paper's rule; the others stay as they are.
"""

import json
import sys
from pathlib import Path

import numpy as np

ONE, MANY, EACH, COMMON = 20, 5, 12, 12
LONG = 25  # words: short questions may hold no 13 words of their own


def questions(evaluation: Path) -> list[str]:
    found = (json.loads(line)["question"] for line in evaluation.read_text("utf-8").splitlines())
    return [" ".join(each.split()) for each in found if len(each.split()) >= LONG]


def plan(names: list[str], asked: list[str]) -> dict[str, list[str]]:
    """The questions that go into each file."""
    left = iter(asked)
    chosen = {name: [next(left)] for name in names[:ONE]}
    chosen |= {name: [next(left) for _ in range(EACH)] for name in names[ONE : ONE + MANY]}
    common = next(left)
    return chosen | {name: [common] for name in names[ONE + MANY : ONE + MANY + COMMON]}


def planted(text: str, added: list[str]) -> str:
    """The text with the questions at equal distances, each a paragraph, cut in between words."""
    for number, question in reversed(list(enumerate(added, 1))):
        place = text.index(" ", number * len(text) // (len(added) + 1))
        text = f"{text[:place]}\n{question}\n{text[place + 1 :]}"
    return text


def plant(evaluation: Path, folder: Path, out: Path) -> None:
    out.mkdir(parents=True)
    names = sorted(path.name for path in folder.glob("*.txt"))
    chosen = plan(names, questions(evaluation))
    for name in names:
        (out / name).write_text(planted((folder / name).read_text("utf-8"), chosen.get(name, [])), "utf-8")
    print(f"{len(names)} documents; planted into {len(chosen)} of them: {sum(map(len, chosen.values()))} questions")


def check(evaluation: Path, folder: Path, out: Path, corpus: Path) -> None:
    import pyarrow.parquet as pq

    from tenfold.corpus.contamination import dirty, load
    from tenfold.corpus.engine.contaminated import INDEX, evaluation_texts
    from tenfold.corpus.normalise import normalise

    stage = corpus / "documents" / "6-decontaminate"
    kept = [row for path in sorted((stage / "kept").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    cut = [row for path in sorted((stage / "dropped").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    names = sorted(path.name for path in folder.glob("*.txt"))
    chosen, files = plan(names, questions(evaluation)), {row["id"]: json.loads(row["meta"])["file"] for row in kept}
    text_of = {name: "".join(row["text"] for row in kept if files[row["id"]] == name) for name in names}
    groups = {"one": names[:ONE], str(EACH): names[ONE : ONE + MANY], "the common": names[ONE + MANY : ONE + MANY + COMMON]}
    for what, group in groups.items():
        there = sum(question in text_of[name] for name in group for question in chosen[name])
        before = sum(len((out / name).read_text("utf-8")) for name in group)
        after = sum(len(text_of[name]) for name in group)
        print(f"{what} planted: {len(group)} documents, {there} questions still there; {before:,} characters, {after:,} kept")
    rest = [name for name in names if name not in chosen]
    same = sum(text_of[name].strip() == normalise([(folder / name).read_text("utf-8")])[0].strip() for name in rest)
    print(f"not planted: {len(rest)} documents, {same} kept as they were")
    print("dropped:", {reason: sum(row["reason"] == reason for row in cut) for reason in sorted({row["reason"] for row in cut})})
    index, name = load(stage / INDEX), evaluation.name.split(".")[0]
    texts = evaluation_texts((str(evaluation),))[name]
    found, asked = dirty(index, name, texts), {question for added in chosen.values() for question in added}
    truth = np.array([" ".join(text.split("\n")[0].split()) in asked for text in texts])
    right = f"{(found & truth).sum()} of {truth.sum()} planted ones called dirty, {(found & ~truth).sum()} of the {(~truth).sum()} others"
    print(f"n of the set is {index.lengths[name]}; {right}")


if __name__ == "__main__":
    {"plant": plant, "check": check}[sys.argv[1]](*map(Path, sys.argv[2:]))
