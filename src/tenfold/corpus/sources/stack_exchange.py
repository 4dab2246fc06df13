"""Questions with their best answers, out of a site's Posts.xml (the public Stack Exchange dump), as The Pile lays them out.

Gao et al. 2020, appendix C.7: an answer needs a score of 3, and a question shows its three best.
"""

from collections.abc import Iterator
from xml.etree import ElementTree

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.markup import text_of
from tenfold.corpus.sources.opening import open_bytes
from tenfold.corpus.sources.texts import taken

LEAST_SCORE = 3
MOST_ANSWERS = 3
QUESTION, ANSWER = "1", "2"

Answer = tuple[int, int, str]
"""(minus its score, its number, its HTML): the best first when sorted."""


class _Question:
    def __init__(self, row: ElementTree.Element, number: int):
        self.row = {name: row.get(name, "") for name in ("Id", "Title", "Body", "CreationDate", "Tags", "Score")}
        self.number = number
        self.awaited = _int(row.get("AnswerCount"))
        self.best: list[Answer] = []

    def add(self, row: ElementTree.Element) -> None:
        self.awaited -= 1
        if (score := _int(row.get("Score"))) >= LEAST_SCORE:
            self.best = sorted([*self.best, (-score, _int(row.get("Id")), row.get("Body", ""))])[:MOST_ANSWERS]


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Each question, once all its answers have been seen. Refused: "no answer of enough score", "no question", "damaged file"."""
    waiting: dict[str, _Question] = {}
    number = 0
    with open_bytes(path) as opened:
        try:
            for row in _rows(opened):
                number += 1
                if row.get("PostTypeId") == QUESTION:
                    waiting[row.get("Id", "")] = _Question(row, number)
                elif row.get("PostTypeId") == ANSWER and (question := waiting.get(row.get("ParentId", ""))):
                    question.add(row)
                    if question.awaited <= 0:
                        yield _document(waiting.pop(question.row["Id"]), file_name, limits)
                elif row.get("PostTypeId") == ANSWER:
                    yield Refused("stack_exchange", file_name, number, "no question", len(row.get("Body", "")))
        except (ElementTree.ParseError, OSError, ValueError):
            yield Refused("stack_exchange", file_name, number + 1, "damaged file", 0)
    for question in waiting.values():
        yield _document(question, file_name, limits)


def _rows(file) -> Iterator[ElementTree.Element]:
    root = None
    for event, element in ElementTree.iterparse(file, events=("start", "end")):
        if root is None:
            root = element
        elif event == "end" and element.tag == "row":
            yield element
            root.clear()


def _int(text: str | None) -> int:
    return int(text) if text and text.lstrip("-").isascii() and text.lstrip("-").isdigit() else 0


def _document(question: _Question, file_name: str, limits: Limits) -> Record | Refused:
    row, place = question.row, ("stack_exchange", file_name, question.number)
    if not question.best:
        return Refused(*place, "no answer of enough score", len(row["Body"]))
    answers = [f"A:\n\n{text_of(body)}" for _, _, body in question.best]
    text = "\n\n".join([f"Q:\n\n{row['Title']}\n\n{text_of(row['Body'])}", *answers])
    return taken(*place, text, limits, timestamp=row["CreationDate"], question=_int(row["Id"]), tags=row["Tags"], score=_int(row["Score"]))
