"""A build that cannot go on says so in a sentence: a full disk, an input that vanished, a worker that was killed."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from tenfold.errors import UserError

SAID = re.compile(r"^tenfold\.errors\.UserError: (.+?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def clean_stop(out: Path) -> Iterator[None]:
    """Turns what went wrong in a worker or in Daft into a UserError where a user can mend it; other errors come through."""
    try:
        yield
    except Exception as error:
        said = _cause(error)
        if isinstance(said, UserError):
            raise said from None
        if _disk_is_full(error):
            raise UserError(
                f"The disk that holds {out} is full.\n  Make room and say the same command again: it goes on from the last whole file."
            ) from error
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cause(error: BaseException) -> UserError | None:
    """The UserError behind an error: itself, or as a worker process wrote it into its traceback."""
    for each in _chain(error):
        if isinstance(each, UserError):
            return each
        said = SAID.search(str(each))
        if said:
            return UserError(said[1].strip())
    return None


def _disk_is_full(error: BaseException) -> bool:
    full = (errno.ENOSPC, errno.EDQUOT)
    return any((isinstance(each, OSError) and each.errno in full) or "No space left on device" in str(each) for each in _chain(error))
