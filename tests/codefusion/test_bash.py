"""Bash through tree-sitter: validity, names, templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tree_sitter_bash", reason="of the extra `codefusion`")
from tenfold.codefusion.bash import bash_problem, bash_spans, template, template_match  # noqa: E402

WORDS = st.sampled_from(
    [
        "find",
        ".",
        "-name",
        "'*.c'",
        "|",
        "xargs",
        "$(",
        ")",
        "`",
        "ls",
        ">",
        "2>&1",
        "{}",
        "\\;",
        '"',
        "é",
        "if",
        "then",
        "fi",
        "a=1",
        "<<",
        ";",
        "&&",
        "\n",
    ]
)


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=20))
def test_any_command_is_judged(code):
    """Nothing raises; places lie in the code; spans are in order and apart; what parses has a template and matches itself."""
    wrong = bash_problem(code)
    assert wrong is None or 0 <= wrong.at <= len(code)
    found = bash_spans(code)
    assert all(0 <= span.start < span.end <= len(code) for span in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    assert (template(code) is None) == (wrong is not None)
    assert template_match(code, code)


@pytest.mark.parametrize(
    "code", ["find . -name", "ls | wc -l", "for f in *.c; do echo $f; done", 'a=$(date) && echo "$a"', "find . -exec rm {} \\;"]
)
def test_what_parses(code):
    assert bash_problem(code) is None


@pytest.mark.parametrize(
    ("code", "at"), [("echo é 'open", 6), ("for f in *.c; do echo $f", 0), ("ls |", 4), ("", 0), ("if true; fi", None)]
)
def test_what_does_not(code, at):
    wrong = bash_problem(code)
    assert wrong is not None
    assert at is None or wrong.at == at


def test_names_and_keywords():
    code = 'a="é"; for f in $(ls); do count "$f"; done'
    found = [(code[span.start : span.end], span.kind) for span in bash_spans(code)]
    assert ("for", "keyword") in found and ("done", "keyword") in found
    assert [name for name, kind in found if kind == "identifier"] == ["a", "f", "ls", "count", "f"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("find . -name '*.c' | wc -l", "find ARG -name ARG | wc -l"),
        ("find / -size +100M -exec rm -f {} \\;", "find ARG -size ARG -exec rm -f {} ;"),
        ("find / -size +100M -exec rm -f {} ';'", "find ARG -size ARG -exec rm -f {} ;"),
        ("find . \\( -name a -o -name b \\) ! -path c", "find ARG ( -name ARG -o -name ARG ) ! -path ARG"),
        ("sudo apt-get install -y vim", "sudo apt-get ARG -y ARG"),
        ("find . -print0 | xargs -0 grep -l foo", "find ARG -print0 | xargs -0 grep -l ARG"),
        ("dd if=/dev/zero of=x bs=1M", "dd if=ARG of=ARG bs=ARG"),
        ("tar --exclude='*.o' -czf a.tgz b", "tar --exclude=ARG -czf ARG ARG"),
        ("find / -name a 2>/dev/null -print", "find ARG -name ARG 2> ARG -print"),
        ('echo "$(ls -l $(pwd) | wc -l)"', "echo ARG $( ls -l ARG $( pwd ) | wc -l )"),
        ("export A=1 && echo $A", "export ARG=ARG && echo ARG"),
        ("head -5 a", "head ARG ARG"),
        ("cat <(sort a) > b", "cat ARG <( sort ARG ) > ARG"),
        ("ls &&", None),
    ],
)
def test_templates(code, expected):
    assert template(code) == expected


def test_template_match():
    assert template_match("find . -name '*.c'", 'find /tmp -name "*.h"')
    assert not template_match("find . -name '*.c'", "find . -iname '*.c'")
    assert not template_match("find . -name '*.c'", "find . -name '*.c' |")
    assert template_match("ls  &&", "ls &&") and not template_match("ls &&", "rm &&")
