"""Jinja2 in task files: templates that make text out of an item's fields, and expressions that make values.

Both run in Jinja's sandbox, and a field that an item lacks, or that is null where its text is asked for, is an error, never an empty string
or "None". Filters beside Jinja's own: `wikihow`,
`wikitext`, `lower_first` and `spaced`.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tenfold.errors import UserError

TOO_DEEP = (SyntaxError, RecursionError, MemoryError)
"""What Python raises for a template that nests deeper than it compiles."""


def render(template: str, item: Mapping[str, Any]) -> str:
    """The template's text for an item. Raises UserError with the template and what went wrong."""
    return _apply(_template(template), template, item)


def value(expression: str, item: Mapping[str, Any]) -> Any:
    """What the expression (Jinja without braces: `choices.text`, `label | int`) is for an item: a list stays a list."""
    found = _apply(_expression(expression), expression, item)
    if isinstance(found, Undefined):
        raise UserError(f"{expression!r} names a field that the item lacks; it has {_names(item)}.\n  Name one of these.")
    return found


def check_template(template: str) -> None:
    """Raises UserError where the template is not Jinja."""
    _template(template)


def check_expression(expression: str) -> None:
    """Raises UserError where the expression is not one of Jinja's."""
    _expression(expression)


def wikihow(text: str) -> str:
    """HellaSwag's endings and contexts without the marks of WikiHow's pages, as lm-evaluation-harness cleans them."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def lower_first(text: str) -> str:
    """The text with its first letter small."""
    return text[:1].lower() + text[1:]


def spaced(texts: list[str]) -> list[str]:
    """The texts with a space before each: choices as they continue a question."""
    return [f" {text}" for text in texts]


def wikitext(text: str) -> str:
    """WikiText's tokens joined to prose again, as lm-evaluation-harness joins them (its marks: " @-@ ", " , ", "( x )", "= =")."""
    text = text.replace("s '", "s'")
    text = re.sub(r"/' [0-9]/", r"/'[0-9]/", text)  # theirs, and matches nothing: scores are to agree
    for spaced in (" @-@ ", " @,@ ", " @.@ "):
        text = text.replace(spaced, spaced[2])
    for mark in (":", ";", ".", "!", "?", ","):
        text = text.replace(f" {mark} ", f"{mark} ")
    for left, right in zip("([{\"'", ")]}\"'", strict=True):
        text = re.sub(rf"{re.escape(left)}\s*([^{re.escape(right)}]*?)\s*{re.escape(right)}", rf"{left}\1{right}", text)
    text = text.replace("= = = =", "====").replace("= = =", "===").replace("= =", "==").replace(f" {chr(176)} ", chr(176))
    return text.replace(" \n", "\n").replace("\n ", "\n").replace(" N ", " 1 ").replace(" 's", "'s")


def _said(value: Any) -> Any:
    if value is None:
        raise ValueError("a field whose text it asks for is null")
    return value


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_said, keep_trailing_newline=True)
    environment.filters |= {"wikihow": wikihow, "wikitext": wikitext, "lower_first": lower_first, "spaced": spaced}
    return environment


_ENVIRONMENT = _environment()


@cache
def _template(template: str) -> Callable[[Mapping[str, Any]], str]:
    try:
        return _ENVIRONMENT.from_string(template).render
    except (TemplateError, *TOO_DEEP) as error:
        raise UserError(f"{template!r} is no Jinja template: {error}.\n  Mend it: fields stand in {{{{braces}}}}.") from error


@cache
def _expression(expression: str) -> Callable[[Mapping[str, Any]], Any]:
    try:
        return _ENVIRONMENT.compile_expression(expression, undefined_to_none=False)
    except (TemplateError, *TOO_DEEP) as error:
        raise UserError(f"{expression!r} is no Jinja expression: {error}.\n  Mend it: it takes no braces.") from error


def _names(item: Mapping[str, Any]) -> str:
    return ", ".join(map(str, item))  # a row of a .csv with more cells than its head has some without a name


def _apply(function: Callable[[Mapping[str, Any]], Any], source: str, item: Mapping[str, Any]) -> Any:
    try:
        return function(item)
    except Exception as error:  # a template may call any method of a field's value, and those raise what they like
        fields = _names(item) or "none"
        raise UserError(f"{source!r} could not be made for an item: {error}.\n  Its fields are {fields}.") from error
