"""Pages of HTML among what a reader found, turned into records in their order by one extraction process."""

from collections.abc import Iterator
from typing import NamedTuple

from tenfold.corpus.documents import document_id
from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.killable import Failed, Worker, lent_worker

EXTRACTORS = {"resiliparse": "tenfold.corpus.sources.html:extract", "justext": "tenfold.corpus.sources.html_justext:extract"}
BATCH_BYTES = 1 << 20
BATCH_PAGES = 256


class Page(NamedTuple):
    """A page before extraction."""

    html: bytes
    charset: str
    """What its server said, or ""."""
    file: str
    offset: int
    record: Record
    """All but its id and text."""


Found = Page | Record | Refused


def extracted(found: Iterator[Found], limits: Limits) -> Iterator[Record | Refused]:
    """What was found, in its order, its pages replaced by their text. One batch is extracted while the next is read."""
    with lent_worker(EXTRACTORS[limits.extractor], limits.seconds) as worker:
        waiting: list[Found] = []
        for batch in _batches(found):
            yield from _finish(waiting, worker)
            waiting = batch
            if pages := [each for each in batch if isinstance(each, Page)]:
                worker.send([(page.html, page.charset) for page in pages])
        yield from _finish(waiting, worker)


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    size = 0
    for each in found:
        batch.append(each)
        size += len(each.html) if isinstance(each, Page) else 0
        if size >= BATCH_BYTES or len(batch) >= BATCH_PAGES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _finish(batch: list[Found], worker: Worker) -> Iterator[Record | Refused]:
    texts = iter(worker.receive() if any(isinstance(each, Page) for each in batch) else [])
    for each in batch:
        yield _judged(each, next(texts)) if isinstance(each, Page) else each


def _judged(page: Page, text: str | Failed) -> Record | Refused:
    if isinstance(text, Failed):
        return Refused(page.record.source, page.file, page.offset, text.reason, len(page.html))
    if not text.strip():
        return Refused(page.record.source, page.file, page.offset, "empty", len(page.html))
    return page.record._replace(id=document_id(text), text=text)
