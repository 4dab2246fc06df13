"""MediaWiki markup to plain text, by what a reader of the page would read: no templates, tables, notes, pictures or categories.

Rules instead of a parse tree, for speed; the tests hold them to one (mwparserfromhell's strip_code).
"""

import html
import re
from collections.abc import Collection

FILES = frozenset({"file", "image", "media", "category"})
"""Namespaces whose links show no text, in English; a dump's own names are added to them."""

COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
DROPPED = (
    "ref|gallery|timeline|score|imagemap|graph|mapframe|maplink|templatestyles|references|categorytree|inputbox|hiero|"
    "syntaxhighlight|source"
)
EMPTY_TAG = re.compile(rf"<(?:{DROPPED})\b[^<>]*/>", re.IGNORECASE)
WHOLE_TAG = re.compile(rf"<({DROPPED})\b[^<>]*>(?:(?!<\1\b).)*?</\1\s*>", re.IGNORECASE | re.DOTALL)
FORMULA = re.compile(r"<math\b[^<>]*>((?:(?!<math\b).)*?)</math\s*>", re.IGNORECASE | re.DOTALL)
HELD = re.compile("\ue000(\\d{1,9})\ue001")
TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}\b[^<>]{0,500}>")
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
TORN = re.compile(r"\[\[([^\[\]|:\n]{1,40}):[^\n]*")  # with a bracket in its caption that nothing closes
OUTSIDE = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\[\]]+[ \t]*([^\[\]\n]*)\]", re.IGNORECASE)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z-]+)?|simple")
QUOTES = re.compile(r"'{2,5}")
HEADING = re.compile(r"^(={1,6})[ \t]*(.*?)[ \t]*\1[ \t]*$", re.MULTILINE)
MARKS = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
RULE = re.compile(r"^-{4,}", re.MULTILINE)
MAGIC = re.compile(r"__[A-Z]{3,}__")
HOLES = re.compile(r"\(\s*[,;]?\s*\)|[ \t]+(?=\n)|(?<=\n)[ \t]+$")
BLANK = re.compile(r"\n\s*\n+")
BRACES = re.compile(r"\{\{|\}\}|\{\||\n[ \t:]*\|\}")


def plain_text(markup: str, hidden: Collection[str] = FILES) -> str:
    """The text of a page. `hidden` are the lower-case names of the namespaces whose links show nothing."""
    text = COMMENT.sub("", markup)
    text = WHOLE_TAG.sub("", EMPTY_TAG.sub("", text))
    formulas: list[str] = []  # their braces are no templates

    def hold(found: re.Match) -> str:
        formulas.append(" ".join(found[1].split()))
        return f"\ue000{len(formulas) - 1}\ue001"

    text = FORMULA.sub(hold, text)
    text = OUTSIDE.sub(r"\1", _without_braces(text))
    text = _links(text, hidden)
    text = TAG.sub("", BREAK.sub("\n", text))
    text = HEADING.sub(r"\n\2\n", MAGIC.sub("", RULE.sub("", QUOTES.sub("", text))))
    text = html.unescape(MARKS.sub("", text)).replace("\xa0", " ")
    text = HELD.sub(lambda found: formulas[int(found[1])] if int(found[1]) < len(formulas) else "", text)
    return BLANK.sub("\n\n", HOLES.sub("", text)).strip()


def _without_braces(text: str) -> str:
    """Without {{templates}} and {| tables |}, nested as they may be; in one pass. What is never closed is kept."""
    kept: list[str] = []
    opened: list[tuple[str, int, int]] = []  # (mark, where it is, how much was kept before it)
    done = 0
    for found in BRACES.finditer(text):
        mark = found.group().lstrip("\n\t :")
        if mark in ("{{", "{|"):
            kept.append(text[done : found.start()])
            opened.append((mark, found.start(), len(kept)))
            done = found.start()
        elif (at := _opening(opened, "{{" if mark == "}}" else "{|")) is not None:
            _, _, length = opened[at]
            del opened[at:], kept[length:]
            done = found.end()
    return "".join(kept) + text[done:]


def _opening(opened: list[tuple[str, int, int]], mark: str) -> int | None:
    """The last one open of that mark; not beyond a table that is still open, for a template."""
    for at in range(len(opened) - 1, max(len(opened) - 9, -1), -1):
        if opened[at][0] == mark:
            return at
    return None


def _links(text: str, hidden: Collection[str]) -> str:
    """Links as what they show; those of files and categories, with the links inside their captions, as nothing."""
    for _ in range(8):  # innermost first: a caption's links are gone before the picture's own
        text, changed = LINK.subn(lambda link: _shown(link[1], hidden), text)
        if not changed:
            break
    return TORN.sub(lambda link: "" if link[1].strip().lower() in hidden else link[0], text)


def _shown(link: str, hidden: Collection[str]) -> str:
    target, _, label = link.partition("|")
    space, colon, _ = target.partition(":")
    if colon and space.strip():
        name = space.strip().lower()
        if name in hidden or (LANGUAGE.fullmatch(name) and not label):
            return ""
    return label.rsplit("|", 1)[-1] or target.lstrip(":")
