"""Text from which a model can learn what the made tasks ask: sums and words, in the tasks' own prompts, never a test item.

A document is a run of a task's questions with their answers, one to sixteen of them as shots stand before a question, so that a model also
sees that examples tell what is wanted. What a test asks is left out: a sum that an item asks, also with its numbers changed about, and a
word that is the answer to any item, however it is scrambled. docs/emergence.md says how much of a corpus should be such text.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tenfold.corpus.documents import Document, read_documents
from tenfold.corpus.files import replacing
from tenfold.errors import UserError
from tenfold.evaluate.loaded import find_tasks
from tenfold.evaluate.made import ARITHMETIC, WORDS, endless, words_of
from tenfold.evaluate.probes import right_answer
from tenfold.evaluate.prompts import example, examples, requests
from tenfold.evaluate.results import check_writable
from tenfold.evaluate.sources import Item
from tenfold.evaluate.task import Task, read_task
from tenfold.train.records import write_json

MOST = 16  # questions in a document
TRIES = 1_000  # items in a row that are all test items: there are no others


def write_practice(
    documents: str, tasks: Sequence[str], share: float, out: Path, seed: int = 1, data: Sequence[Path] = ()
) -> dict[str, Any]:
    """Writes OUT/practice.jsonl, as many bytes that, beside `documents`, they are `share` of all text; and OUT/result.json, which it
    returns. Words are those of the documents. Raises UserError for a share that is none, no tasks, and tasks that are not made."""
    if not 0 < share < 1:
        raise UserError(f"--share is {share:g}, but must be above 0 and below 1: the share of all bytes that are practice.")
    if not tasks:
        raise UserError("no task is named.\n  Say --tasks TASK ...; those with `made` in docs/tasks.md can be practised.")
    check_writable(out)
    asked = [read_task(name) for name in find_tasks(tasks)]
    skills = [skill(task) for task in asked]
    held_out = frozenset(known_by(each.item) for task in asked for each in examples(task, data))
    texts = [found.text for found in read_documents(documents) if isinstance(found, Document)]
    beside = sum(len(text.encode()) for text in texts)
    wanted, written, count = share / (1 - share) * beside, 0, 0
    words = [word for word in words_of(texts) if word not in held_out] if set(skills) & set(WORDS) else []
    with replacing(out / "practice.jsonl") as file:
        for text in practice(asked, words, held_out, seed):
            if written >= wanted:
                break
            file.write((json.dumps({"text": text}) + "\n").encode())
            written, count = written + len(text.encode()), count + 1
    found = {
        "command": "eval practice",
        "documents": documents,
        "tasks": [task.name for task in asked],
        "seed": seed,
        "share": written / (written + beside),
        "practice": {"documents": count, "bytes": written},
        "beside": {"documents": len(texts), "bytes": beside},
        "left_out": len(held_out),
    }
    write_json(out / "result.json", found)
    return found


def practice(tasks: Sequence[Task], words: Sequence[str] = (), held_out: frozenset[str] = frozenset(), seed: int = 1) -> Iterator[str]:
    """Documents without end, each of one task, the same for the same arguments. `words`: of word tasks, what may be asked for; `held_out`:
    what may not be asked, as `known_by` names it. Raises UserError where there is nothing else to ask."""
    dice = random.Random(f"practice/{seed}")
    made = [_allowed(task, endless(skill(task), random.Random(f"practice/{seed}/{task.name}"), words), held_out) for task in tasks]
    while True:
        place = dice.randrange(len(tasks))
        yield _document(tasks[place], [next(made[place]) for _ in range(dice.randint(1, MOST))])


def skill(task: Task) -> str:
    """The generator of a task's items, or of such items as the paper's file of that name has. Raises UserError where there is none."""
    for source in task.test:
        name = source.made or Path(source.path).name.partition(".")[0]
        if name in ARITHMETIC or name in WORDS:
            return name
    raise UserError(f"{task.name} cannot be practised: its items are not made, and no generator makes such.\n  Leave it out.")


def known_by(item: Item) -> str:
    """What one item and another ask alike: a sum, its numbers in order where that does not matter, or a word."""
    asked = re.search(r"What is (.+)\?", item["context"])
    if asked is None:
        return str(item["completion"]).strip()
    parts = asked[1].split()
    return " ".join([parts[1], *sorted(parts[::2])] if parts[1:2] in (["plus"], ["times"]) else parts)


def _allowed(task: Task, items: Iterator[Item], held_out: frozenset[str]) -> Iterator[Item]:
    refused = 0
    for item in items:
        refused = refused + 1 if known_by(item) in held_out else 0
        if refused > TRIES:
            raise UserError(f"{task.name} has hardly a question that is no test item.\n  Give its file fewer items, or leave it out.")
        if not refused:
            yield item


def _document(task: Task, items: Sequence[Item]) -> str:
    """The questions as the task asks them after shots, each with its answer."""
    *shots, last = [example(task, item, f"practice/{number}") for number, item in enumerate(items)]
    asked = requests(task, last, shots)
    context = asked.writing.context if asked.writing else asked.scored[0].context
    return context + right_answer(task, last)
