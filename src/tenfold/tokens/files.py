"""Files that are whole or absent, whenever the process dies."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> Path:
    """Writes a file under another name, flushes it to the disk and renames it. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
