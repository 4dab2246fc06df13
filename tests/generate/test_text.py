"""Text that grows: the pieces join to the whole, characters stay whole, and a stop string never shows."""

from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.generate.text import TextStream, first_stop

characters = st.text(st.sampled_from("abé€😀\u0301 "), max_size=20)
anything = st.binary(max_size=30)
stops = st.lists(st.text(st.sampled_from("abé€😀"), min_size=1, max_size=4), max_size=3)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut anywhere, characters included."""
    ends = sorted({p % (len(data) + 1) for p in places} | {0, len(data)})
    return [data[a:b] for a, b in zip(ends, ends[1:], strict=False)]


def stream(tokens: list[bytes], stop: list[str]) -> tuple[list[str], bool]:
    text = TextStream(stop)
    pieces = [text.push(token) for token in tokens]
    return [*pieces, text.finish()], text.stopped


def whole(data: bytes, stop: list[str]) -> str:
    """The text by the definition: character by character, until a stop string is complete."""
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        complete = data[: e.start] if e.reason == "unexpected end of data" else data
        text = complete.decode(errors="replace") if complete == data else complete.decode()
    for end in range(len(text) + 1):
        ending = [s for s in stop if text[:end].endswith(s)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@given(characters, st.lists(st.integers(0, 100)), stops)
@example("aab", [1, 2], ["aab"])
@example("aaab", [1, 2, 3], ["aab"])
@example("abab€", [1, 2, 3, 4, 5, 6], ["abb", "b€", "ab€"])
def test_pieces_join_to_the_text_before_the_first_stop(text, places, stop):
    pieces, stopped = stream(cut(text.encode(), places), stop)
    joined = "".join(pieces)
    assert joined == whole(text.encode(), stop)
    assert stopped == any(s in text for s in stop)
    assert not any(s in joined for s in stop)


@given(characters, st.lists(st.integers(0, 100)), stops)
def test_every_piece_is_certain_and_in_whole_characters(text, places, stop):
    """What was said is never taken back, and cutting characters makes no U+FFFD."""
    pieces, _ = stream(cut(text.encode(), places), stop)
    assert "\ufffd" not in "".join(pieces)
    assert text.startswith("".join(pieces))


@given(anything, st.lists(st.integers(0, 100)))
def test_bytes_that_are_no_text_read_as_python_reads_them(data, places):
    """However they are cut; only a character that the end cuts is left out."""
    joined = "".join(stream(cut(data, places), [])[0])
    read = data.decode(errors="replace")
    assert read.startswith(joined)
    assert read[len(joined) :] in ("", "\ufffd")
    assert (read == joined) or incomplete(data)


def incomplete(data: bytes) -> bool:
    """Whether `data` ends inside a character: some ending of 1 to 3 bytes makes its last bytes one."""
    return any(
        len(data) >= n and data[-n] >= 0xC2 and len((data[-n:] + more).decode(errors="replace")) == 1 and not _replaced(data[-n:] + more)
        for n in (1, 2, 3)
        for more in (b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0", b"\xa0\x80", b"\x90\x80\x80")
    )


def _replaced(data: bytes) -> bool:
    return data.decode(errors="replace") == "\ufffd" and data != "\ufffd".encode()


def test_a_stop_may_lie_across_tokens():
    pieces, stopped = stream([b"one\n", b"\n", b"two"], ["\n\n"])
    assert (pieces, stopped) == (["one", "", "", ""], True)


def test_only_what_may_be_a_stop_is_held():
    pieces, stopped = stream([b"a<", b"|b", b"<|e", b"nd", b"!"], ["<|end|>"])
    assert (pieces, stopped) == (["a", "<|b", "", "", "<|end!", ""], False)


def test_a_stop_inside_a_token_drops_the_rest():
    pieces, stopped = stream([b"yes. No", b" more"], [". "])
    assert (pieces, stopped) == (["yes", "", ""], True)


def test_of_stops_that_end_together_the_longest_counts():
    assert first_stop("xabc", ["c", "abc", "bc"]) == 1
    assert first_stop("xabc", ["abc", "b"]) == 2
    assert first_stop("x", ["y"]) is None
