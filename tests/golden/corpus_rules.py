"""Writes corpus_rules.json: made texts, and what datatrove 0.10.1 says of each by each of its C4 and Gopher rules alone.

Not run by the tests: it needs datatrove. To make it anew, in an environment with it:  python tests/golden/corpus_rules.py
Words are cut at white space in place of its tokenizer, and its count of sentences is off: those are where this project means to differ.
"""

import json
import random
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import gopher_quality_filter, gopher_repetition_filter
from datatrove.pipeline.filters.c4_filters import C4QualityFilter

QUALITY = {
    "gopher.words": {"min_doc_words": 50, "max_doc_words": 100_000},
    "gopher.word_length": {"min_avg_word_length": 3, "max_avg_word_length": 10},
    "gopher.hashes gopher.ellipses": {"max_symbol_word_ratio": 0.1},
    "gopher.bullet_lines": {"max_bullet_lines_ratio": 0.9},
    "gopher.ellipsis_lines": {"max_ellipsis_lines_ratio": 0.3},
    "gopher.letters": {"max_non_alpha_words_ratio": 0.8},
    "gopher.stop_words": {"min_stop_words": 2},
}
REPETITION = {
    "gopher.duplicate_paragraphs": {"dup_para_frac": 0.3},
    "gopher.duplicate_paragraph_characters": {"dup_para_char_frac": 0.2},
    "gopher.duplicate_lines": {"dup_line_frac": 0.3},
    "gopher.duplicate_line_characters": {"dup_line_char_frac": 0.2},
    **{f"gopher.top_{n}_gram": {"top_n_grams": ((n, most),)} for n, most in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"gopher.duplicate_{n}_grams": {"dup_n_grams": ((n, 0.2 - n / 100),)} for n in range(5, 11)},
}
COMMON = "the be to of and that have with river stone garden letter morning winter answer quiet harbour engine measure question".split()
MARKS = [".", ".", ".", "!", "?", '."', "...", "", ",", " …"]
EXTRAS = [
    "[1]",
    "#",
    "# #",
    "- item",
    "•point",
    "{",
    "Lorem ipsum",
    "JavaScript",
    "privacy policy",
    "12",
    "3.5",
    "--",
    "it's",
    "[edit]",
]


def line(rng: random.Random, noise: float, vocabulary: list[str]) -> str:
    words = [rng.choice(EXTRAS) if rng.random() < noise else rng.choice(vocabulary) for _ in range(rng.randint(1, 14))]
    bullet = rng.choice(["- ", "  ", ""]) if rng.random() < noise * 4 else ""
    return bullet + " ".join(words) + rng.choice(MARKS)


def text(seed: int) -> str:
    rng = random.Random(seed)
    vocabulary = COMMON[: rng.choice([2, 5, 20])] if seed % 4 else [f"w{n}" * rng.randint(1, 4) for n in range(40)]
    noise = rng.choice([0.0, 0.02, 0.1, 0.4])
    lines: list[str] = []
    for _ in range(rng.randint(1, 16)):
        lines.append(rng.choice(lines) if lines and rng.random() < rng.choice([0.0, 0.1, 0.5]) else line(rng, noise, vocabulary))
    return "".join(each + rng.choice(["\n", "\n\n", "\n\n\n"]) for each in lines).strip()


def broken(filters: dict, text: str) -> list[str]:
    return [name for name, each in filters.items() if each.filter(Document(text=text, id="0")) is not True]


def main() -> None:
    gopher_quality_filter.split_into_words = gopher_repetition_filter.split_into_words = lambda text, language: text.split()
    off = dict.fromkeys(key for options in QUALITY.values() for key in options)
    no = {"dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None}
    no |= {"top_n_grams": (), "dup_n_grams": ()}
    filters = {name: gopher_quality_filter.GopherQualityFilter(**(off | each)) for name, each in QUALITY.items()}
    filters |= {name: gopher_repetition_filter.GopherRepetitionFilter(**(no | each)) for name, each in REPETITION.items()}
    c4 = C4QualityFilter(min_num_sentences=-1, min_words_per_line=5)
    found = []
    for seed in range(160):
        document = Document(text=text(seed), id="0")
        verdict = {"text": document.text, "broken": broken(filters, document.text)}
        c4_says = c4.filter(document)
        found.append(verdict | ({"cleaned": document.text} if c4_says is True else {"c4": c4_says[1]}))
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
