"""Threads of Hacker News out of its items: a story and the tree of its comments as one text, as The Pile lays them out.

Items are those of the public API (https://github.com/HackerNews/API), one a line. A thread is what one file holds of it.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from tenfold.corpus.record import Limits, Record, Refused
from tenfold.corpus.sources.markup import text_of
from tenfold.corpus.sources.texts import lines, taken

STORIES = {"story", "poll", "job"}
DEEPEST = 200  # replies to replies; deeper ones are left out


def read(path: str, file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    """Each story that people have commented, by its number. Refused: "bad line", "no comments", "no story"."""
    items: dict[int, tuple[int, dict]] = {}
    for line in lines(path, "hacker_news", file_name, limits.max_bytes):
        if isinstance(line, Refused):
            yield line
        elif line[1].strip():
            item = _item(line[1])
            if item is None:
                yield Refused("hacker_news", file_name, line[0], "bad line", len(line[1]))
            else:
                items[item["id"]] = (line[0], item)
    yield from _threads(items, file_name, limits)


def _item(line: bytes) -> dict | None:
    try:
        item = json.loads(line)
        item["id"], item["parent"] = int(item["id"]), int(item.get("parent") or 0)
        for name in ("text", "title", "url", "by", "type"):
            item[name] = str(item.get(name) or "")
            item[name].encode("utf-8")
        item["time"] = int(item.get("time") or 0)
        return item
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _threads(items: dict[int, tuple[int, dict]], file_name: str, limits: Limits) -> Iterator[Record | Refused]:
    replies: dict[int, list[int]] = {}
    for id, (number, item) in sorted(items.items()):
        if item["type"] in STORIES:
            continue
        if item["parent"] in items and item["parent"] < id:
            replies.setdefault(item["parent"], []).append(id)
        else:
            yield Refused("hacker_news", file_name, number, "no story", len(item["text"]))
    for id, (number, item) in sorted(items.items()):
        if item["type"] in STORIES and not item.get("dead") and not item.get("deleted"):
            yield _thread(id, number, items, replies, file_name, limits)


def _thread(id: int, number: int, items: dict, replies: dict, file_name: str, limits: Limits) -> Record | Refused:
    story = items[id][1]
    head = [f"{story['title']} - {story['by']}", story["url"], text_of(story["text"])]
    comments = list(_comments(id, items, replies))
    if not comments:
        return Refused("hacker_news", file_name, number, "no comments", len(story["text"]))
    text = "\n".join(filter(None, head)) + "\n======\n" + "".join(comments)
    when = datetime.fromtimestamp(story["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if 0 < story["time"] < 1 << 35 else ""
    url = f"https://news.ycombinator.com/item?id={id}"
    return taken("hacker_news", file_name, number, text, limits, url=url, timestamp=when, comments=len(comments))


def _comments(story: int, items: dict, replies: dict) -> Iterator[str]:
    """Depth first; "------" before a reply to the story, "~~~" before one to a comment."""
    waiting = [(id, 0) for id in reversed(replies.get(story, []))]
    while waiting:
        id, depth = waiting.pop()
        item = items[id][1]
        if depth < DEEPEST:
            waiting += [(reply, depth + 1) for reply in reversed(replies.get(id, []))]
        if item["text"] and not item.get("dead") and not item.get("deleted"):
            yield f"{'~~~' if depth else '------'}\n{item['by']}\n{text_of(item['text'])}\n\n"
