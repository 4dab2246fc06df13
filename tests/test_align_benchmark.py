"""benchmarks/align.py, small: the texts of both sides are as long as they say, and a trainer stands still between its steps."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))
from align_work import Sizes, even_words, write_texts, write_tokenizer  # noqa: E402

import align  # noqa: E402
from tenfold.tokens.tokenizer import Tokenizer  # noqa: E402

SMALL = Sizes(layers=1, embed=16, heads=2, vocab=64, prompt=4, row=16, rows=4, new=4, completions=4, group=2, ppo_epochs=1, lines=8)


def test_a_word_is_a_token_and_rows_are_full(tmp_path):
    """Neither side has anything to pad: a prompt, its answer and the end are a row."""
    write_tokenizer(tmp_path, SMALL.vocab)
    write_texts(tmp_path, SMALL)
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.vocab == SMALL.vocab
    line = json.loads((tmp_path / "dpo.jsonl").read_text().splitlines()[0])
    assert [len(tokenizer.encode(line[name])) for name in ("prompt", "chosen", "rejected")] == [4, 11, 11]
    assert tokenizer.decode(tokenizer.encode(line["chosen"])) == line["chosen"]


def test_the_reward_is_the_share_of_even_words():
    assert even_words(["", "", ""], ["w2 w3 w14 w5", "", "w8"]) == [0.5, 0.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("method", align.METHODS)
def test_a_line_is_a_step(tmp_path, method):
    """Three lines are answered, each by seconds and milliseconds of processors; the end of lines ends the trainer."""
    align.write_start(tmp_path, SMALL)
    command = [sys.executable, str(BENCHMARKS / "align.py"), "--serve", str(tmp_path), method, json.dumps(asdict(SMALL)), "float32"]
    ran = subprocess.run(command, input="\n\n\n", capture_output=True, text=True, check=True)
    ready, *answers = ran.stdout.splitlines()
    assert ready.startswith("ready jax") and len(answers) == 3
    assert all(float(seconds) > 0 and int(spent) > 0 for seconds, spent in map(str.split, answers))
