"""Chat templates: Jinja in a sandbox, as the Hugging Face library runs them, with its marks around what the assistant writes.

`{% generation %}` ... `{% endgeneration %}` come out as two characters around the text, which are none of any text: Unicode keeps U+FDD0
to U+FDEF for programs' own use. What the library gives templates and has no place here: tools, documents, and `strftime_now`, with which
the same data would be other tokens tomorrow.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tenfold.errors import UserError
from tenfold.evaluate.templates import TOO_DEEP

BUILT_IN = Path(__file__).parent / "chat_templates"
BEGIN, END, BREAK = "\ufdd0", "\ufdd1", "\ufdd2"
"""Before and after what the assistant writes; and inside a control token's name in what people wrote, which is thus none."""
MARKS = (BEGIN, END, BREAK)

Message = Mapping[str, str]
"""{"role": "system", "user" or "assistant", "content": text}"""


@dataclass(frozen=True)
class Template:
    """A chat template; `name` is what messages to the user call it."""

    name: str
    source: str

    def text(self, messages: Sequence[Message], words: Mapping[str, str], ask: bool = False) -> str:
        """The text of a conversation, with BEGIN and END; `ask`: and what makes the assistant write next. `words`: bos_token, eos_token.

        Raises UserError with what the template itself, or Jinja, says.
        """
        compiled = _compiled(self.name, self.source)
        try:
            return compiled.render(messages=list(messages), add_generation_prompt=ask, tools=None, documents=None, **words)
        except Exception as error:  # a template may call any method of a value, and those raise what they like
            roles = ", ".join(message["role"] for message in messages)
            raise UserError(
                f"the chat template {self.name} makes no text of a conversation of {roles}: {error}.\n"
                f"  Change the conversation, or take another template: {', '.join(built_in())}."
            ) from error


def built_in() -> list[str]:
    """The names of the templates that come with Tenfold."""
    return sorted(path.stem for path in BUILT_IN.glob("*.jinja"))


def find_template(name: str, own: str | None, whose: str) -> Template:
    """The template of that name, in that file, or for "model" the one that came with the model `whose`, `own`.

    Raises UserError where there is none.
    """
    names = ", ".join(built_in())
    if name == "model":
        if own is None:
            raise UserError(f"{whose} has no chat template.\n  Take one of {names}, or a Jinja file, with --template.")
        return Template(f"of {whose}", own)
    if name in built_in():
        return Template(name, (BUILT_IN / f"{name}.jinja").read_text("utf-8"))
    try:
        return Template(name, Path(name).expanduser().read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the chat template is {name!r}, which is neither a template of ours nor a file that can be read ({error}).\n"
            f"  Take one of {names}, a Jinja file, or model for the model's own."
        ) from error


class _Generation(Extension):
    """The block that says what the assistant writes, as transformers' utils/chat_template_utils.py has it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller) -> str:
        return f"{BEGIN}{caller()}{END}"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    return environment


def _tojson(value: Any, ensure_ascii: bool = False, indent=None, separators=None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


_ENVIRONMENT = _environment()


@cache
def _compiled(name: str, source: str) -> Compiled:
    try:
        return _ENVIRONMENT.from_string(source)
    except (TemplateError, *TOO_DEEP) as error:
        raise UserError(
            f"the chat template {name} is no Jinja template: {error}.\n  Mend it, or take one of {', '.join(built_in())}."
        ) from error
