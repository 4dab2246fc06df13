"""Texts are cut into what is read and what is asked for as lm-evaluation-harness cuts them."""

import pytest

from tenfold.errors import UserError
from tenfold.evaluate.paths import Path, asked, asked_of_texts, windows
from tenfold.evaluate.requests import Continuation

END = 257


@pytest.fixture
def tokenizer(tiny_model):
    return tiny_model().tokenizer


def ids(text: str) -> tuple[int, ...]:
    return tuple(text.encode())


@pytest.mark.parametrize(
    ("context", "text", "read", "targets"),
    [
        ("ab", " cd", ids("ab c"), ids(" cd")),
        ("ab ", "cd", ids("ab c"), ids(" cd")),
        ("ab\n\n", "cd", ids("ab\n\nc"), ids("\n\ncd")),
        ("", "abc", (END, *ids("ab")), ids("abc")),
        (" ", "a", (END, *ids(" ")), ids(" a")),
        ("ab", "c", ids("ab"), ids("c")),
    ],
)
def test_white_space_moves_to_the_continuation(tokenizer, context, text, read, targets):
    (found,) = asked(tokenizer, [Continuation(context, text)], 20)
    assert found.paths == [Path(read, targets)] and found.cut == 0


def test_a_token_across_the_border_is_cut_by_count(tokenizer):
    """`q` + `ue` is one token and `e` together, but `q` alone is one: what is left of both after as many is `e`, read after `q`."""
    (found,) = asked(tokenizer, [Continuation("aq", "ue")], 20)
    assert found.paths == [Path(ids("aq"), ids("e"))]


@pytest.mark.parametrize(("context", "text"), [("ab", ""), ("aq", "u"), ("", "")])
def test_a_continuation_without_tokens_is_refused(tokenizer, context, text):
    with pytest.raises(UserError, match="no token of its own|is empty"):
        asked(tokenizer, [Continuation(context, text)], 20)
    with pytest.raises(UserError, match="has no tokens"):
        asked_of_texts(tokenizer, [""], 20)


def test_a_long_context_loses_its_left(tokenizer):
    """10 tokens and 3: the last is not read, so 12 are, of which 8 find room."""
    (found,) = asked(tokenizer, [Continuation("abcdefghij", "klm")], 8)
    assert found.paths == [Path(ids("efghijkl"), ids("klm"))] and found.cut == 4


def test_a_continuation_longer_than_the_context_is_read_in_windows(tokenizer):
    (found,) = asked(tokenizer, [Continuation("abc", "defghij")], 3)
    assert found.cut == 2
    assert found.paths == [Path(ids("cde"), ids("def")), Path(ids("fgh"), ids("ghi")), Path(ids("ghi"), ids("j"))]


@pytest.mark.parametrize("length", range(1, 12))
def test_windows_are_those_of_the_harness(length):
    """Beside its own function, written down from its source."""

    def theirs(token_list, prefix, most):
        first = min(most, len(token_list))
        yield [prefix, *token_list[: first - 1]], token_list[:first]
        predicted = first
        while predicted < len(token_list):
            count = min(len(token_list) - predicted, most)
            end = predicted + count
            yield token_list[end - most - 1 : end - 1], token_list[end - count : end]
            predicted += count

    line = list(range(length))
    assert [(list(path.tokens), list(path.targets)) for path in windows(99, line, 4)] == list(theirs(line, 99, 4))
