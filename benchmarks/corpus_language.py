"""How often the language filter is right, on Debian's handbook in 26 languages (package debian-handbook 11.20220922, not installed here).

Most of the handbook's pages are only partly translated: a page in the folder of one language may be English. So a page's language is
taken from its prose (listings left out): the folder's where at most a fifth of it, in characters, stands word for word in the English
edition, English where at least four fifths do. Pages between are in two languages; for them either is right, and they are counted apart.

    apt-get download debian-handbook && dpkg -x debian-handbook_*.deb handbook
    python benchmarks/corpus_language.py handbook/usr/share/doc/debian-handbook/html
"""

import html
import re
import sys
import time
from collections import Counter
from pathlib import Path

from tenfold.corpus.language import LONGEST, identify
from tenfold.corpus.sources.html import extract

FOLDERS = {"nb": "no"}
BLOCKS = re.compile(r"</?(p|li|h\d|div|dt|dd|td|tr|table|ul|ol|dl|br|hr|pre)\b[^>]*>")


def prose(page: str) -> list[str]:
    """The paragraphs of 25 characters or more, outside listings."""
    body = re.sub(r"<pre.*?</pre>", "", page.split("<body", 1)[-1], flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", "", BLOCKS.sub("\n", body)))
    return [line for line in (" ".join(line.split()) for line in text.split("\n")) if len(line) >= 25]


def truth(folder: str, paragraphs: list[str], english: set[str]) -> str | None:
    """The page's language; None where it is in two."""
    own = FOLDERS.get(folder[:2], folder[:2])
    shared = sum(len(each) for each in paragraphs if each in english) / max(1, sum(map(len, paragraphs)))
    return own if own == "en" or shared <= 0.2 else "en" if shared >= 0.8 else None


def main(root: Path) -> None:
    pages = {path: path.read_text("utf-8") for path in sorted(root.glob("*-*/*.html"))}
    english = {line for path, page in pages.items() if path.parent.name == "en-US" for line in prose(page)}
    texts = {path: text for path, page in pages.items() if len(text := str(extract(page.encode(), ""))) > 500}
    began = time.process_time()
    codes, _ = identify(list(texts.values()))
    seconds = time.process_time() - began
    right, both, wrong = 0, Counter(), Counter()
    for path, code in zip(texts, codes, strict=True):
        expected = truth(path.parent.name, prose(pages[path]), english)
        if expected is None:
            both[code in ("en", FOLDERS.get(path.parent.name[:2], path.parent.name[:2]))] += 1
        elif code == expected:
            right += 1
        else:
            wrong[f"{expected} taken for {code}"] += 1
    scored, size = right + wrong.total(), sum(len(text[:LONGEST].encode()) for text in texts.values())
    print(f"{len(pages)} pages, {len(texts)} over 500 characters; {scored} in one language: {100 * right / scored:.2f}% right ({right})")
    print(f"{both.total()} in two languages: {100 * both[True] / both.total():.2f}% one of the two")
    print(f"wrong: {dict(wrong.most_common())}")
    print(f"{size / 1e6 / seconds:.1f} MB/s of text on one core, reading the model included")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
