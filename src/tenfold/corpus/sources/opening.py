"""Files of a source: a local path or any URL fsspec knows, opened for reading bytes; and found, sorted, under a folder."""

from pathlib import Path
from typing import BinaryIO

from tenfold.corpus import readers
from tenfold.errors import UserError


def is_url(path: str) -> bool:
    """Whether a path is for fsspec (s3://, https://, memory://, ...) and not for the file system."""
    return "://" in path


def open_bytes(path: str) -> BinaryIO:
    """A seekable stream of a file's bytes. Raises UserError where there is none."""
    try:
        if not is_url(path):
            return Path(path).expanduser().open("rb")
        import fsspec

        return fsspec.open(path, "rb").open()
    except ImportError as error:
        raise UserError(f"{path} needs a package that is not here: {error}.\n  Install it, or copy the file to this machine.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be opened: {error}.\n  Name a file that is there and that you may read.") from error


def files_under(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files a source's path names, sorted: itself, or those under the folder whose names end in one of `suffixes` (all if none).

    A pattern with * is taken as one. Raises UserError where it names none.
    """
    found = _remote(path) if is_url(path) else _local(path)
    chosen = sorted(name for name in found if not suffixes or name.lower().endswith(suffixes) or name == path)
    if not chosen:
        ends = f" whose names end in {', '.join(suffixes)}" if suffixes else ""
        raise UserError(f"There are no files{ends} at {path!r}.\n  Name a file, a folder or a pattern such as 'crawl/*.warc.gz'.")
    return chosen


def _local(path: str) -> list[str]:
    root = Path(path).expanduser()
    if root.is_file():
        return [path]
    if root.is_dir():
        return [str(file) for file in readers.walk(root)]
    anchor = Path(root.anchor)
    pattern = str(root.relative_to(anchor)) if root.anchor else path
    return [str(file) for file in anchor.glob(pattern) if file.is_file() and not file.name.startswith(".")] if "*" in path else []


def _remote(path: str) -> list[str]:
    import fsspec

    system, root = fsspec.core.url_to_fs(path)
    names = system.glob(root) if "*" in root else [root] if system.isfile(root) else system.find(root)
    return [path if name == root else system.unstrip_protocol(name) for name in names]
