"""LaTeX sources as text: the prose and its formulas, without the preamble, comments, floats and commands of layout.

Plain rules and one pass for braces, no TeX: The Pile runs pandoc here, which fails on a part of arXiv's sources and reads at most a
few a second. Files: .tex; arXiv's .gz of one .tex; or its .tar (.gz) of a paper, whose \\input files are put in their places.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.html import decoded
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.texts import taken

SOURCE = 8  # bytes of source that a byte of text may have
COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*\n?[ \t]*")
BEGIN, END = re.compile(r"\\begin\s*\{document\}"), re.compile(r"\\end\s*\{document\}")
DROPPED = re.compile(
    r"\\begin\s*\{(figure|table|thebibliography|tikzpicture|wrapfigure|sidewaystable|comment|filecontents|tabular|picture|keywords)\*?\}"
    r"(?:(?!\\begin\s*\{\1).)*?\\end\s*\{\1\*?\}",  # up to the next of its kind at most, so that many without an end cost no square
    re.DOTALL,
)
INPUT = re.compile(r"\\(?:input|include)\s*\{([^{}]+)\}")
HEADING = re.compile(
    r"\\(part|chapter|section|subsection|subsubsection|paragraph|title)\*?\s*(?:\[[^\[\]]*\])?\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
GONE = re.compile(
    r"~?\\(?:label|cite[a-zA-Z]*|nocite|bibliography|bibliographystyle|vspace|hspace|includegraphics|usepackage|documentclass|pagestyle|"
    r"thispagestyle|setlength|setcounter|addtocounter|newcommand|renewcommand|def|let|thanks|affiliation|email|address|institute|author|"
    r"date|hypersetup|graphicspath|index|markboth)\*?\s*(?:\[[^\[\]]*\]\s*)*(?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\} ?)*"
)
REFERENCE = re.compile(r"[~ ]?\\(?:ref|eqref|autoref|cref|Cref|pageref)\s*\{[^{}]*\}")
ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([a-zA-Z]+)\*?\}(?:\[[^\[\]]*\])?")
MATHS = re.compile(
    r"\$\$[^$]+\$\$|(?<!\\)\$[^$]+(?<!\\)\$|\\\[(?:(?!\\\[).)*?\\\]|\\\((?:(?!\\\().)*?\\\)|"
    r"\\begin\{(equation|align|eqnarray|gather|multline|displaymath|math)(\*?)\}(?:(?!\\begin\{\1).)*?\\end\{\1\2\}",
    re.DOTALL,
)
ITEM = re.compile(r"\n?\\item\s*(?:\[([^\[\]]*)\])?\s*")
ESCAPED = re.compile(r"\\([%&_#$ {}])")
COMMAND = re.compile(r"\\[a-zA-Z@]+\*?(?:\[[^\[\]]*\])?\s?|\\[^a-zA-Z\s]")
HELD = re.compile("\ue000(\\d{1,9})\ue001")
LINE_END = re.compile(r"[ \t]+$", re.MULTILINE)
BLANK = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """One paper a file. Refused: "no document" where there is no \\begin{document}, "damaged file", and what `taken` refuses."""
    try:
        with open_bytes(path) as opened:
            sources = _sources(opened, file_name, SOURCE * limits.max_bytes)
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        yield Refused("latex", file_name, 0, "damaged file", 0)
        return
    size = sum(map(len, sources.values()))
    if not sources:
        yield Refused("latex", file_name, 0, "over the size cap", size)
        return
    texts = {name: decoded(data) for name, data in sources.items() if b"\0" not in data}
    main = next((name for name, text in sorted(texts.items()) if BEGIN.search(text)), None)
    if main is None:
        yield Refused("latex", file_name, 0, "no document", size)
        return
    yield taken("latex", file_name, 0, plain_text(_whole(texts, main, SOURCE * limits.max_bytes)), limits)


def _sources(opened, file_name: str, most: int) -> dict[str, bytes]:
    """The .tex files by name; none where they have more than `most` bytes together."""
    head = opened.read(2)
    opened.seek(0)
    data = (gzip.open(opened) if head == b"\x1f\x8b" else opened).read(most + 1)  # a tar's pictures count too
    if not data or len(data) > most:
        return {"": b""} if not data else {}
    if data[257:262] != b"ustar":
        return {file_name: data}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [member for member in archive if member.isfile() and member.name.endswith((".tex", ".ltx", ".bbl"))]
        return {member.name.removeprefix("./"): _member(archive, member) for member in files}


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _whole(texts: dict[str, str], main: str, most: int) -> str:
    """The main file with what it inputs put in, to a depth of four."""
    text = texts[main]
    for _ in range(4):
        put = INPUT.sub(lambda found: texts.get(found[1].strip(), texts.get(found[1].strip() + ".tex", "")), COMMENT.sub(r"\1", text))
        if put == text or len(put) > most:
            break
        text = put
    return text


def plain_text(source: str) -> str:
    """The text of a document, formulas as they are written in LaTeX."""
    text = COMMENT.sub(r"\1", source.replace("\r\n", "\n"))
    begin = BEGIN.search(text)
    head = HEADING.search(text[: begin.start()]) if begin else None
    text = text[begin.end() :] if begin else text
    end = END.search(text)
    text = (f"{head[2]}\n\n" if head and head[1] == "title" else "") + (text[: end.start()] if end else text)
    formulas: list[str] = []

    def hold(found: re.Match) -> str:
        formulas.append(found.group())
        return f"\ue000{len(formulas) - 1}\ue001"

    text = GONE.sub("", DROPPED.sub("", text))
    text = MATHS.sub(hold, text)
    text = HEADING.sub(r"\n\n\2\n\n", REFERENCE.sub("", text))
    text = ITEM.sub(lambda found: f"\n- {found[1] + ' ' if found[1] else ''}", ENVIRONMENT.sub("\n", text))
    text = text.replace("---", "—").replace("--", "–").replace("``", '"').replace("''", '"').replace("~", " ")
    text = ESCAPED.sub(r"\1", COMMAND.sub("", ESCAPED.sub("\ue002\\1", text)).replace("{", "").replace("}", ""))
    text = text.replace("\ue002", "")
    text = HELD.sub(lambda found: formulas[int(found[1])] if int(found[1]) < len(formulas) else "", text)
    return BLANK.sub("\n\n", LINE_END.sub("", text)).strip() + "\n"
