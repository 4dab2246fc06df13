import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.letters import placed_words
from tenfold.evaluate.overlap import Looked, longest, longest_from

LETTERS = st.lists(st.sampled_from("abc"), max_size=14).map(" ".join)


def test_a_run_grows_from_each_place_of_its_beginning():
    document = Looked("a b c x b c d y a b c d z")
    run = longest_from(placed_words(["q", "a b c d"]), 1, document, 3)
    assert run == (0, 8, 4)


@given(LETTERS, LETTERS)
def test_the_longest_run_is_that_of_halving(item, text):
    """Two ways to find it; from a shortest length on they must agree."""
    own, document = placed_words([item]), placed_words([text])
    known = longest(own, document)
    for n in (1, 2, 3):
        found = longest_from(own, 0, Looked(text), n)
        if known is None or known.words < n:
            assert found is None
        else:
            assert found is not None and (found.one, found.words) == (known.one, known.words)
            ours, theirs = own.hashes[found.one :][: found.words], document.hashes[found.other :][: found.words]
            assert len(ours) == found.words and np.array_equal(ours, theirs)
