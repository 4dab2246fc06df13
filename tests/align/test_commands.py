"""`tenfold align grpo`, `ppo`, `reward` and `dpo` from their words to a run."""

import json

import pytest

from tenfold.cli.align_policy import ACTIONS, HELP
from tenfold.errors import UserError
from tiny_policy import write_prompts, write_start

SHORT = "--train.steps 1 --train.batch 8 --train.no-tensorboard --model.context 16 --model.dtype float32".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    write_start(folder / "start")
    write_prompts(folder / "prompts.jsonl")
    lines = [json.dumps({"prompt": f"{a}+{b}=", "answers": ["12", "1"]}) for a in range(10) for b in range(10)]
    (folder / "ranked.jsonl").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_a_policy_from_the_command_line_and_again_from_its_align_yaml(folder, capsys):
    words = ["--data", str(folder / "prompts.jsonl"), "--reward", "exact", "number", "--rollout.max-tokens", "4", *SHORT]
    assert ACTIONS["grpo"]([str(folder / "start"), *words, "--rollout.completions", "4", "--out", str(folder / "one")]) == 0
    assert "step 1/1  reward" in capsys.readouterr().out
    assert ACTIONS["grpo"]([str(folder / "one" / "align.yaml"), "--out", str(folder / "two")]) == 0
    assert (folder / "two" / "metrics.jsonl").read_text() == (folder / "one" / "metrics.jsonl").read_text()
    with pytest.raises(UserError, match="is a recipe of grpo.\n  Say tenfold align grpo"):
        ACTIONS["ppo"]([str(folder / "one" / "align.yaml")])


@pytest.mark.slow
def test_dpo_from_the_command_line(folder, capsys):
    words = [str(folder / "start"), "--data", str(folder / "ranked.jsonl"), "--dpo.beta", "0.2", *SHORT, "--out", str(folder / "dpo")]
    assert ACTIONS["dpo"](words) == 0
    assert "held-out accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("action", ACTIONS)
def test_help(action, capsys):
    assert ACTIONS[action]([]) == 0
    assert capsys.readouterr().out == HELP + "\n"
