"""Words of a command line to a configuration."""

from collections.abc import Callable
from typing import Any

from tenfold.errors import UserError


def parse(what: Callable[..., Any], argv: list[str], prog: str, default: Any = None) -> Any:
    """`tyro.cli`, but a UserError from a configuration's own checks comes through as it is, where tyro would print it in a box."""
    import contextlib
    import io

    import tyro

    options: dict[str, Any] = {"args": argv, "prog": prog} | ({} if default is None else {"default": default})
    unsaid = io.StringIO()
    try:
        with contextlib.redirect_stdout(unsaid), contextlib.redirect_stderr(unsaid):
            return tyro.cli(what, **options)
    except SystemExit as ended:
        error: BaseException | None = ended
        while error is not None:
            if isinstance(error, UserError):
                raise error from None
            error = error.__cause__ or error.__context__
    return tyro.cli(what, **options)  # asked for help, or a word that tyro itself refuses: said by tyro
