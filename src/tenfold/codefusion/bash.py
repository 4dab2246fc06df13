"""Bash: whether a command parses, its names and keywords, and its template, through tree-sitter's grammar (the extra `codefusion`).

The grammar is tree-sitter-bash; it mends what it cannot read, so a command is valid where its tree holds no node of an error and none that
is missing. The template is as NL2Bash's (Lin et al. 2018): utilities, flags and structure stay, arguments become ARG.
"""

import functools
import re
from collections.abc import Iterator

from tenfold.codefusion.spans import Kind, Problem, Span
from tenfold.errors import UserError

ARGUMENT = "ARG"
LAUNCHERS = ("sudo", "xargs", "time", "nohup", "nice", "env", "exec", "command", "watch", "parallel", "timeout", "strace")
"""Utilities whose first bare word is a utility again."""
LAUNCHING_FLAGS = ("-exec", "-execdir", "-ok", "-okdir")
STRUCTURE = ("{}", ";", "+", "!", "(", ")", "-", "--")
"""Words among the arguments that are structure, bare, quoted or behind a backslash: find's and xargs's."""
_FLAG = re.compile(r"[-+][A-Za-z?][\w-]*|-0|--[A-Za-z][\w-]*")
_VALUE = re.compile(r"([-+]{0,2}[A-Za-z_][\w-]*)=(.*)", re.DOTALL)
_WORDS = (
    "word",
    "string",
    "raw_string",
    "number",
    "concatenation",
    "simple_expansion",
    "expansion",
    "ansi_c_string",
    "translated_string",
    "brace_expression",
    "command_substitution",
    "process_substitution",
)
_WHOLE = (*_WORDS, "variable_name", "special_variable_name", "heredoc_body", "regex", "test_operator", "extglob_pattern", "file_descriptor")


@functools.cache
def _parser():
    try:
        import tree_sitter
        import tree_sitter_bash
    except ImportError as missing:
        raise UserError("reading Bash takes tree-sitter-bash, which is not installed.\n  pip install 'tenfold[codefusion]'") from missing
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def _tree(code: str):
    return _parser().parse(code.encode()).root_node


def _walk(node) -> Iterator:
    yield node
    for child in node.children:
        yield from _walk(child)


def _letters(code: str, byte: int) -> int:
    """Characters before a byte."""
    return len(code.encode()[:byte].decode(errors="ignore"))


def bash_problem(code: str) -> Problem | None:
    """Where Bash's grammar breaks, or None. Raises UserError without the extra."""
    if not code.strip():
        return Problem("nothing stands here", 0)
    root = _tree(code)
    if not root.has_error:
        return None
    broken = next(node for node in _walk(root) if node.is_missing or node.type == "ERROR")
    what = f"{broken.type} is missing" if broken.is_missing else f"{broken.text.decode()[:20]!r} cannot stand here"
    return Problem(what, _letters(code, broken.start_byte))


def bash_spans(code: str) -> list[Span]:
    """Names of commands, functions and variables, and reserved words, in order. Raises UserError without the extra."""
    found = []
    for node in _walk(_tree(code)):
        word = node.type == "word" and node.parent.type in ("command_name", "function_definition")
        named = word or node.type in ("variable_name", "special_variable_name")
        keyword = not node.is_named and re.fullmatch(r"[a-z]+", node.type) and node.type == node.text.decode()
        if (named or keyword) and not node.is_missing:
            kind: Kind = "keyword" if keyword else "identifier"
            found.append(Span(_letters(code, node.start_byte), _letters(code, node.end_byte), kind))
    return sorted(set(found), key=lambda span: (span.start, span.end))


def template(code: str) -> str | None:
    """The command with its arguments masked: `find . -name '*.c' | wc -l` is `find ARG -name ARG | wc -l`. None where it does not parse."""
    if bash_problem(code) is not None:
        return None
    return " ".join(_masked(_tree(code)))


def template_match(gold: str, candidate: str) -> bool:
    """Whether two commands have the same template, or where the gold one does not parse, the same words."""
    expected = template(gold)
    return gold.split() == candidate.split() if expected is None else expected == template(candidate)


def _masked(node) -> list[str]:
    """The words of a node's template, in order."""
    if node.type == "command":
        return _arguments(node.children)
    if node.type == "file_redirect":
        return _redirect(node)
    if node.type == "variable_assignment":
        return [f"{ARGUMENT}={' '.join(_masked_word(node.children[-1]))}"]
    if node.type in _WHOLE:
        return _masked_word(node)
    if not node.children:
        return [node.text.decode()] if node.text.strip() else []
    return [word for child in node.children for word in _masked(child)]


def _redirect(node) -> list[str]:
    """`2> FILE`, and the arguments of the command that the grammar finds behind it."""
    start = next(i for i, child in enumerate(node.children) if not child.is_named)
    operator = "".join(child.text.decode() for child in node.children[: start + 1])
    file, *rest = node.children[start + 1 :] or [None]
    return [operator, *(_masked_word(file) if file else []), *_arguments(rest)]


def _arguments(nodes) -> list[str]:
    """A utility and its arguments; after sudo, xargs, -exec and their kind a utility comes again."""
    words: list[str] = []
    utility_next = False
    for node in nodes:
        text = node.text.decode()
        if node.type == "command_name":
            words.append(text)
            utility_next = text in LAUNCHERS
        elif node.type not in _WORDS:
            words += _masked(node)
        elif (structure := text.strip("'\"").lstrip("\\")) in STRUCTURE:
            words.append(structure)
        elif _FLAG.fullmatch(text):
            words.append(text)
            utility_next = utility_next or text in LAUNCHING_FLAGS
        elif utility_next and re.fullmatch(r"[A-Za-z_./][\w./-]*", text):
            words.append(text)
            utility_next = text in LAUNCHERS
        elif value := _VALUE.fullmatch(text):
            words.append(f"{value[1]}={ARGUMENT}")
        else:
            words += _masked_word(node)
    return words


def _masked_word(node) -> list[str]:
    """ARG, and of a word with commands inside it their templates too."""
    return [ARGUMENT, *(word for part in _substitutions(node) for child in part.children for word in _masked(child))]


def _substitutions(node) -> list:
    """The outermost $(...) and <(...) in a word."""
    if node.type in ("command_substitution", "process_substitution"):
        return [node]
    return [part for child in node.children for part in _substitutions(child)]
