"""Stage 0: the files of every source, each read once into parts of its own, with what was refused beside what was taken."""

import json
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.engine.store import DOCUMENT, Partial, table_of, write_kept_and_dropped
from tenfold.corpus.files import write_atomically
from tenfold.corpus.recipe import SourceConfig
from tenfold.corpus.record import Record, Refused
from tenfold.corpus.sources.registry import names_under, read, read_files
from tenfold.errors import UserError

TASKS_IN_PART = 16  # small ones are done in many workers and at about the same time
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
EXPANSION = 5


class Task(NamedTuple):
    """Files of one source that one worker reads in one go: a large one, or as many small ones as make some of a part."""

    source: SourceConfig
    files: list[tuple[str, str]]
    """Where each is, and the name it is reported by."""
    components: dict[str, str]
    """Where a file holds several sources: the name of each by its component."""


def reading_tasks(sources: Iterable[SourceConfig], part_bytes: int) -> list[Task]:
    """Every file of every source, in the order of the recipe and of their names. Raises UserError where a source has none."""
    tasks: list[Task] = []
    for source, components in _read_together(sources):
        room = 0
        files = _files(source)
        for file, name in zip(files, names_under(_root(source), files), strict=True):
            size = text_in(file)
            if size > room:
                tasks.append(Task(source, [], components))
                room = part_bytes // TASKS_IN_PART
            tasks[-1].files.append((file, name))
            room -= size
    return tasks


def _files(source: SourceConfig) -> list[str]:
    try:
        return read_files(source.kind, source.path)
    except UserError as error:
        raise UserError(f"The source {source.name!r} has nothing to read as {source.kind}. {error}") from error


def _read_together(sources: Iterable[SourceConfig]) -> list[tuple[SourceConfig, dict[str, str]]]:
    """Sources that are read by themselves, and the first of those that share files, with the names of all."""
    found: dict[tuple[str, ...], tuple[SourceConfig, dict[str, str]]] = {}
    for source in sources:
        key = (source.kind, source.path) if source.component else (source.name,)
        components = found.setdefault(key, (source, {}))[1]
        if source.component:
            components[source.component] = source.name
    return list(found.values())


def _root(source: SourceConfig) -> str:
    return sysconfig.get_path("stdlib") if source.kind == "stdlib" and source.path == "stdlib" else source.path


def file_size(file: str) -> int:
    """Bytes of a local file; of one elsewhere, as much as a part holds, so that it is read alone."""
    path = Path(file).expanduser()
    return path.stat().st_size if path.exists() else 1 << 62


def text_in(file: str) -> int:
    """Bytes that a file may hold, about: it is not opened."""
    return file_size(file) * (EXPANSION if file.endswith(COMPRESSED) else 1)


def read_sources(engine: Engine, tasks: list[Task], part_bytes: int, stage: Partial) -> None:
    """Reads what is not there yet, a task at a time in each worker."""
    done = {int(path.stem) for path in (stage.directory / "tasks").glob("*.done")}
    directory = stage.directory

    def work(number: int) -> int:
        return _read_task(tasks[number], number, part_bytes, directory)

    engine.each(work, [number for number in range(len(tasks)) if number not in done])


def _read_task(task: Task, number: int, part_bytes: int, directory: Path) -> int:
    refused: list[dict] = []
    for part, records in enumerate(_chunks(_read(task, refused), part_bytes), 1):
        write_kept_and_dropped(directory, f"{number:05}-{part:03}", _table(records), [])
    if refused:
        write_kept_and_dropped(directory, f"{number:05}-000", _table([]), refused)
    write_atomically(directory / "tasks" / f"{number:05}.done", "")
    return 1


def _read(task: Task, refused: list[dict]) -> Iterator[Record]:
    source = task.source
    for file, reported in task.files:
        for found in read(source.kind, file, source.name, source.limits, reported):
            if isinstance(found, Refused):
                refused.append({**found._asdict(), "id": "", "other": "", "text": ""})
            elif not task.components:
                yield found
            elif name := task.components.get(json.loads(found.meta).get("component", "")):
                yield found._replace(source=name)


def _chunks(records: Iterable[Record], most_bytes: int) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.text)
        if size >= most_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _table(records: list[Record]):
    columns = {name: [record[place] for record in records] for place, name in enumerate(Record._fields)}
    return table_of({**columns, "part": [0] * len(records)}).select(DOCUMENT)
