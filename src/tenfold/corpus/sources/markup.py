"""Text of small and trusted kinds of HTML (chapters of books, bodies of posts), by the standard library's parser.

It goes through its input once and keeps no tree, so nesting costs nothing; pages of the web go through `pages` instead.
"""

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    "address article aside blockquote br dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre "
    "section table tbody td th thead tr ul".split()
)
SPACED = frozenset("blockquote h1 h2 h3 h4 h5 h6 p pre ul ol table".split())
HIDDEN = frozenset("script style head title template noscript".split())
SPACES = re.compile(r"[ \t\r\n\f]+")


def text_of(markup: str) -> str:
    """The text, paragraphs parted by an empty line; <pre> keeps its own lines."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    lines = "".join(parser.parts).split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0
        self.kept = 0

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag in HIDDEN:
            self.hidden += 1
        elif tag in BLOCKS:
            self.parts.append("\n\n" if tag in SPACED else "\n")
        self.kept += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        if tag in BLOCKS:  # <title/> of XHTML hides nothing
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in HIDDEN:
            self.hidden = max(self.hidden - 1, 0)
        elif tag in BLOCKS and tag != "br":
            self.parts.append("\n\n" if tag in SPACED else "\n")
        self.kept = max(self.kept - (tag == "pre"), 0)

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        text = data if self.kept else SPACES.sub(" ", data)
        at_line_start = not self.parts or self.parts[-1].endswith(("\n", " "))
        self.parts.append(text.lstrip(" ") if at_line_start and not self.kept else text)
