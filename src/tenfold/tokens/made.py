"""What `prepare` has made before, and from what: so that it is made again only when something changed."""

import json
from pathlib import Path

from tenfold.corpus.documents import MAX_BYTES, files_of
from tenfold.corpus.files import fingerprint, write_atomically

FORMAT = 1  # raise it when readers, the split or the shards change what comes out of the same files


class Made:
    """Names of things made, each with the fingerprint of what it was made from and a note; kept in one JSON file."""

    def __init__(self, path: Path):
        self._path = path
        try:
            self._entries: dict[str, dict] = dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):  # absent or damaged: everything is made again
            self._entries = {}

    def note(self, name: str, fingerprint: str) -> dict | None:
        """The note of a thing that was made from this, else None."""
        entry = self._entries.get(name)
        return entry["note"] if isinstance(entry, dict) and entry.get("fingerprint") == fingerprint and "note" in entry else None

    def put(self, name: str, fingerprint: str, note: dict) -> None:
        """Records that a thing is there, whole."""
        self._entries[name] = {"fingerprint": fingerprint, "note": note}
        write_atomically(self._path, json.dumps(self._entries, indent=1) + "\n")


def files_fingerprint(path: str) -> str:
    """Of the documents at a path, by the names, sizes and times of their files. Raises UserError where there are none."""
    root, files = files_of(path)
    base = root if root.is_dir() else root.parent
    stats = [(file.relative_to(base).as_posix(), file.stat()) for file in files]
    return fingerprint(FORMAT, MAX_BYTES, [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
