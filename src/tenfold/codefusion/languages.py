"""The languages that CodeFusion writes, each by its own parser: Python's, tree-sitter's Bash, and ours for conditional formatting.

`problem` judges validity; `spans` gives what continuous paragraph denoising masks: identifiers and built-in keywords, as CodeFusion does.
"""

import ast
import builtins
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from tenfold.codefusion.bash import bash_problem, bash_spans
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.functions import BY_SPELLING
from tenfold.codefusion.rules.syntax import COLUMN, RuleError
from tenfold.codefusion.rules.write import write
from tenfold.codefusion.spans import Kind, Problem, Span
from tenfold.errors import UserError


@dataclass(frozen=True)
class Language:
    """How code of a language is judged."""

    name: str
    problem: Callable[[str], Problem | None]
    spans: Callable[[str], list[Span]]
    form: Callable[[str], str] = str


def problem(language: str, code: str) -> Problem | None:
    """Where code does not parse, or None where it does. Raises UserError for unknown languages, and for bash without the extra."""
    return _language(language).problem(code)


def valid(language: str, code: str) -> bool:
    """Whether code parses."""
    return problem(language, code) is None


def spans(language: str, code: str) -> list[Span]:
    """Identifiers and keywords of code, in order and apart from each other; of code that does not parse those that can be found."""
    return _language(language).spans(code)


def form(language: str, code: str) -> str:
    """Code in the one form that its language's printer gives it, so that spaces, quotes and other names of a function do not make two codes
    different; Bash, and what does not parse, as it is."""
    return _language(language).form(code)


def _language(name: str) -> Language:
    if name not in LANGUAGES:
        raise UserError(f"language is {name!r}.\n  Give one of {', '.join(LANGUAGES)}.")
    return LANGUAGES[name]


def python_problem(code: str) -> Problem | None:
    """Where Python's own parser breaks."""
    if not code.strip():
        return Problem("nothing stands here", 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings: valid all the same
            ast.parse(code)
    except SyntaxError as wrong:
        lines = code.splitlines(keepends=True)
        at = sum(map(len, lines[: (wrong.lineno or 1) - 1])) + max(0, (wrong.offset or 1) - 1)
        return Problem(wrong.msg, min(at, len(code)))
    except (ValueError, RecursionError, MemoryError) as wrong:  # null bytes, and nesting deeper than the parser's stack
        return Problem(str(wrong) or "nested too deep", 0)
    return None


def python_spans(code: str) -> list[Span]:
    """Names; keywords and built-ins count as keywords."""
    lines = code.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines) + 1)]
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NAME:
                kind: Kind = "keyword" if keyword.iskeyword(token.string) or hasattr(builtins, token.string) else "identifier"
                (row, first), (last_row, last) = token.start, token.end
                found.append(Span(starts[row - 1] + first, starts[last_row - 1] + last, kind))
    except (tokenize.TokenError, SyntaxError):  # an open bracket or string: what came before it stands
        pass
    return found


def cf_problem(code: str) -> Problem | None:
    """Where a rule cannot be read or makes no sense."""
    try:
        read_rule(code)
    except RuleError as wrong:
        return Problem(str(wrong).split("\n")[0].split(": ", 1)[1], wrong.at)
    return None


def cf_spans(code: str) -> list[Span]:
    """Names of functions are the keywords, columns c[i] the identifiers."""
    calls = re.finditer(r"([A-Za-z_][\w.]*)\s*\(", code)
    found = [Span(call.start(1), call.end(1), "keyword") for call in calls if call[1].casefold() in BY_SPELLING]
    found += [Span(column.start(), column.end(), "identifier") for column in COLUMN.finditer(code)]
    return sorted(found, key=lambda span: span.start)


def syntax_tree(code: str) -> str | None:
    """Python's syntax tree as `ast.dump` prints it, without places; None where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(code.strip()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def python_form(code: str) -> str:
    """As `ast.unparse` prints it; comments alone, and what it cannot read or print, as they are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.unparse(ast.parse(code)) or code
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code


def cf_form(code: str) -> str:
    """As `rules.write` prints it."""
    try:
        return write(read_rule(code))
    except RuleError:
        return code


LANGUAGES = {
    language.name: language
    for language in (
        Language("bash", bash_problem, bash_spans),
        Language("python", python_problem, python_spans, python_form),
        Language("cf", cf_problem, cf_spans, cf_form),
    )
}
