"""HTML to the text of its main content, by jusText (Pomikálek 2011), the extractor of Pile-CC (Gao et al. 2020, section 2.1)."""

import re
from functools import cache

import justext

from tenfold.corpus.sources.html import decoded, is_text
from tenfold.corpus.sources.killable import Failed

WORD = re.compile(r"[^\W\d_]+")
SAMPLE = 40_000  # characters of a page's middle, where its language is read


def extract(html: bytes, charset: str) -> str | Failed:
    """The paragraphs of a page that read like its language; "" where it has none. `charset` is what its server said, or ""."""
    page = decoded(html, charset)
    if not is_text(page):
        return Failed("undecodable")
    paragraphs = justext.justext(page, _stop_words(page)) if page.strip() else []
    return "\n\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


def _stop_words(page: str) -> frozenset[str]:
    """The word list that has the most of the page's words; English where none has more."""
    start = max(len(page) - SAMPLE, 0) // 2
    words = [word.lower() for word in WORD.findall(page[start : start + SAMPLE])]
    return max(_word_lists(), key=lambda known: sum(word in known for word in words))


@cache
def _word_lists() -> list[frozenset[str]]:
    return [justext.get_stoplist(language) for language in sorted(justext.get_stoplists(), key=lambda name: (name != "English", name))]
