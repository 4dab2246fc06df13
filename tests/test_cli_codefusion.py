"""`tenfold codefusion`: plain when it refuses, and from pairs to a run to lines of snippets."""

import json

import pytest

from tenfold.cli import main
from tenfold.recipes.codefusion import RECIPES, find_fusion
from tiny_fusion import TINY, write_pairs

SHAPE = [word for name, value in TINY.items() for word in (f"--model.{name}".replace("_", "-"), str(value))]


@pytest.fixture
def tenfold(tmp_path, monkeypatch, capsys):
    """`tenfold(*arguments)` -> (exit code, stdout, stderr), run in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            main(["codefusion", *map(str, arguments)])
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    return run


def test_help_names_the_recipes(tenfold):
    for arguments in ((), ("--help",), ("pretrain",), ("finetune", "--help")):
        code, out, _ = tenfold(*arguments)
        assert code == 0 and all(name in out for name in RECIPES)


def test_a_recipes_help_lists_its_fields(tenfold):
    code, out, _ = tenfold("finetune", "codefusion-small", "--help")
    assert code == 0
    for said in ("--model.code-width", "--train.tasks", "--data.language", "--encoder", "--optimizer.learning-rate", "0.001"):
        assert said in out


def test_phases_have_their_tasks():
    assert find_fusion("codefusion", "pretrain").train.tasks == ("code", "denoising")
    assert find_fusion("codefusion-small-masked", "finetune").train.tasks == ("pairs",)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train"], "'train' is not something to do with code.\n  Say pretrain, finetune or generate."),
        (["pretrain", "codefusion-large"], "'codefusion-large' is neither a recipe nor a file.\n  Recipes: codefusion,"),
        (["pretrain", "codefusion-small"], "data.paths is empty: there is nothing to learn from.\n  Name files with --data."),
        (["pretrain", "codefusion-small", "--data", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["pretrain", "codefusion-small", "--model.heads", "7"], "model.heads is 7, which does not divide model.embed 192."),
        (["finetune", "codefusion-small", "--from", "nowhere", "--data", "x"], "nowhere holds no recipe.yaml."),
        (["finetune", "codefusion-small", "--train.tasks", "--data", "x"], "train.tasks is empty.\n  Name some of code, denoising, pairs."),
        (["finetune", "codefusion-small", "--from", "a", "--encoder", "b"], "start is a and encoder b, but the start has an encoder."),
        (["generate", "nowhere"], 'no text is given.\n  Say tenfold codefusion generate nowhere --text "sort a list".'),
        (["generate", "nowhere", "--text", "x"], "nowhere holds no recipe.yaml."),
        (["generate", "nowhere", "--text", "x", "--eta", "2"], "eta is 2.0, but must lie between 0"),
    ],
)
def test_what_cannot_work_is_refused_in_plain_words(tenfold, arguments, message):
    """Code 2, what and why on stderr with the mend, nothing on stdout, no traceback."""
    code, out, complaint = tenfold(*arguments)
    assert (code, out) == (2, "") and complaint.startswith("tenfold codefusion: ")
    assert message in complaint and "Traceback" not in complaint


@pytest.mark.slow
def test_from_pairs_to_a_run_to_snippets(tenfold, tmp_path):
    pairs = write_pairs(tmp_path)
    options = ["--data", pairs, "--train.steps", "2", "--train.batch", "4", "--optimizer.warmup-tokens", "0", *SHAPE]
    code, out, _ = tenfold("finetune", "codefusion-small-masked", *options, "--out", "run")
    assert code == 0 and 'next: tenfold codefusion generate run --text "..."' in out
    code, out, _ = tenfold("generate", "run", "--text", "sort a list", "--samples", "2", "--steps", "2", "--rank-by", "2")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["text"] for line in lines] == ["sort a list"] * 2
    assert lines[0]["bound"] <= lines[1]["bound"] and all(isinstance(line["code"], str) for line in lines)
