"""Rows that take turns write what they write alone."""

import jax
import numpy as np
import pytest

from tenfold.generate.decode import Requests, decode, prepare_for_decode
from tenfold.generate.sampling import row_keys
from tenfold.generate.turns import Turns, rows_at_once, write_in_turns
from tenfold.model.cache import UNROLLED_ROWS

PROMPTS = [[5, 9, 200], [7], list(range(40, 61))]
MOST = 20  # more than a turn


@pytest.mark.parametrize("at_once", [2, 5, 16])
def test_each_row_goes_on_from_its_prompt_with_its_key_until_its_end(tiny, noisy_params, at_once):
    """Eleven rows of three prompts, few and many at once; each against a row that reads its prompt for itself. The end is a token that half
    of the rows write, at different places."""
    config = tiny(layers=1)
    weights, prepared = prepare_for_decode(noisy_params(config), config)
    prompt_R, keys_R = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]), row_keys(3, 11)
    requests = Requests.of(keys_R, temperature=1.0, vocab=config.vocab)
    alone = np.concatenate(list(decode(weights, prepared, [PROMPTS[n] for n in prompt_R], requests, MOST)), 1)
    tokens, rows = np.unique(np.concatenate([np.unique(row) for row in alone]), return_counts=True)
    end = int(tokens[np.argmin(abs(rows - 5))])
    expected = [row[: list(row).index(end)].tolist() if end in row else row.tolist() for row in alone]
    assert len({len(row) for row in expected}) > 2
    found = write_in_turns(weights, prepared, PROMPTS, prompt_R, keys_R, Turns(1.0, config.vocab, end, MOST, 32, at_once))
    assert found == expected


def test_as_many_go_at_once_as_suits_the_device():
    assert rows_at_once(1) == 2 and rows_at_once(7) == 7
    assert rows_at_once(999) == (UNROLLED_ROWS if jax.default_backend() == "cpu" else 999)
