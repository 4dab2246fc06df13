"""Conversations out of files: every form, and every fault with file, line, field and mend."""

import gzip
import json

import pytest

from tenfold.align.conversations import parse_conversations, read_conversations
from tenfold.errors import UserError

USER, ASSISTANT, SYSTEM = ({"role": role, "content": f"{role} text"} for role in ("user", "assistant", "system"))


def pairs(row) -> list[tuple[str, str]]:
    """(question, answer) of each conversation of a line."""
    return [tuple(message["content"] for message in found.messages) for found in parse_conversations(row, "a.jsonl:1")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Sort.", "input": "3 1", "output": "1 3"}, [("Sort.\n\n3 1", "1 3")]),
        ({"instruction": "Sort.", "input": "", "output": "1 3"}, [("Sort.", "1 3")]),
        ({"instruction": "Sort.", "output": "1 3"}, [("Sort.", "1 3")]),
        ({"instruction": "Sort.", "answer": "1 3"}, [("Sort.", "1 3")]),
        ({"question": "2+2", "answer": "4"}, [("2+2", "4")]),
        ({"prompt": "2+2", "completion": "4", "more": 1}, [("2+2", "4")]),
        (
            {"instruction": "Sort.", "instances": [{"input": "2 1", "output": "1 2"}, {"input": "", "output": "?"}]},
            [("Sort.\n\n2 1", "1 2"), ("Sort.", "?")],
        ),
        ({"messages": [USER, ASSISTANT]}, [("user text", "assistant text")]),
    ],
)
def test_every_form(row, expected):
    assert pairs(row) == expected


def test_messages_keep_their_roles_and_order():
    (found,) = parse_conversations({"messages": [SYSTEM, USER, ASSISTANT, USER, ASSISTANT]}, "a.jsonl:1")
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([1, 2], r"is \[1, 2\], but must be an object"),
        ({"text": "a"}, r"has the fields text, and no conversation.*\n.*instruction and output"),
        ({"instruction": "a"}, "has the fields instruction, and no conversation"),
        ({"prompt": "a", "completion": ""}, r"completion is '', which is empty.*\n.*leave the line out"),
        ({"prompt": "a", "completion": " \n"}, r"completion is ' \\n', which is empty"),
        ({"prompt": 3, "completion": "b"}, "prompt is 3, but must be a text"),
        ({"instruction": "a", "input": ["b"], "output": "c"}, r"input is \[\"b\"\], but must be a text"),
        ({"instruction": "a", "instances": [{"input": "b"}]}, "output is missing"),
        ({"prompt": "a", "completion": "\ud800"}, "completion holds half of a surrogate pair"),
        ({"messages": []}, r"messages is \[\], but must be a list"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\] is .* but must be"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, r"messages\[1\].role is \"tool\", but must be one of system, user"),
        ({"messages": [ASSISTANT]}, r"messages\[0\].role is 'assistant', where system or user is due"),
        ({"messages": [SYSTEM, ASSISTANT]}, r"messages\[1\].role is 'assistant', where user is due"),
        ({"messages": [USER, USER]}, r"messages\[1\].role is 'user', where assistant is due.*\n.*take turns"),
        ({"messages": [USER, ASSISTANT, SYSTEM]}, r"messages\[2\].role is 'system', where user is due"),
        ({"messages": [USER, ASSISTANT, USER]}, "messages ends with the user's, so there is no answer"),
        ({"messages": [USER, ASSISTANT | {"content": ""}]}, r"messages\[1\].content is '', which is empty"),
        ({"messages": [USER, ASSISTANT | {"content": None}]}, r"messages\[1\].content is null, but must be a text"),
    ],
)
def test_every_fault_is_named_with_its_line(tmp_path, row, said):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"prompt": "a", "completion": "b"}) + "\n\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match=f"a.jsonl:3:? {said}"):
        read_conversations([str(file)])


def test_files_and_folders(tmp_path):
    """Compressed too, and a folder's files in the order of their names; `where` says which line."""
    line = json.dumps({"prompt": "a", "completion": "b"}) + "\n"
    (tmp_path / "two.jsonl").write_text(line * 2)
    (tmp_path / "one.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "notes.txt").write_text("no conversation")
    found = read_conversations([str(tmp_path)])
    assert [each.where.rpartition("/")[2] for each in found] == ["one.jsonl.gz:1", "two.jsonl:1", "two.jsonl:2"]
    assert len({each.id for each in found}) == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b'{"prompt": "a"\n', r"a.jsonl:1 is not JSON.*\n.*one JSON object"),
        ("a.jsonl", b"\xff\xfe\n", "a.jsonl:1 is not JSON"),
        ("a.jsonl", b"\n\n", "holds no conversation"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "a", "completion": "b"}\n' * 99, mtime=0)[:-9], "cannot be read to its end"),
        ("a.txt", b"x", "is not a .jsonl"),
    ],
)
def test_files_that_are_none(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        read_conversations([str(tmp_path / name)])


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_conversations([str(tmp_path / "none.jsonl")])
    with pytest.raises(UserError, match="holds no .jsonl file"):
        read_conversations([str(tmp_path)])
