"""`tenfold codefusion`: plain when it refuses, and from pairs to a run to lines of snippets."""

import json

import pytest

from made_fusion_score import TEST, TRAIN, write_lines
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
    for said in ("--model.code-width", "--train.tasks", "--data.language", "--encoder", "--optimizer.learning-rate", "0.002"):
        assert said in out


def test_the_help_of_score_lists_settings_of_scores_and_of_sampling(tenfold):
    code, out, _ = tenfold("score", "--help")
    assert code == 0
    for said in (
        "--data",
        "--language",
        "--train",
        "--curve",
        "--embeddings",
        "--steps",
        "--samples",
        "--rank-by",
        "--temperature",
        "--out",
    ):
        assert f" {said} " in out or f" {said}\n" in out


def test_the_baseline_is_scored_without_a_run(tenfold, tmp_path):
    """A table, the notes on the data, the files and the page."""
    train = write_lines(tmp_path / "train.jsonl", TRAIN)
    test = write_lines(tmp_path / "test.jsonl", TEST)
    code, out, _ = tenfold("score", "--data", test, "--language", "python", "--train", train, "--limit", 4, "--out", "scores")
    assert code == 0 and "4 of 5 items, drawn at random." in out and "retrieval" in out and "ast*" in out
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    assert names >= {"scores.json", "result.json", "retrieval.jsonl", "score.html"}
    assert len((tmp_path / "scores" / "retrieval.jsonl").read_text().splitlines()) == 4


def test_phases_have_their_tasks():
    assert find_fusion("codefusion", "pretrain").train.tasks == ("code", "denoising")
    assert find_fusion("codefusion-small-masked", "finetune").train.tasks == ("pairs",)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train"], "'train' is not something to do with code.\n  Say pretrain, finetune, words, generate or score."),
        (["pretrain", "codefusion-large"], "'codefusion-large' is neither a recipe nor a file.\n  Recipes: codefusion,"),
        (["pretrain", "codefusion-small"], "data.paths is empty: there is nothing to learn from.\n  Name files with --data."),
        (["pretrain", "codefusion-small", "--data", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["pretrain", "codefusion-small", "--model.heads", "7"], "model.heads is 7, which does not divide model.embed 96."),
        (["finetune", "codefusion-small", "--from", "nowhere", "--data", "x"], "nowhere holds no recipe.yaml."),
        (["finetune", "codefusion-small", "--train.tasks", "--data", "x"], "train.tasks is empty.\n  Name some of code, denoising, pairs."),
        (["finetune", "codefusion-small", "--from", "a", "--encoder", "b"], "start is a and encoder b, but the start has an encoder."),
        (["generate", "nowhere"], 'no text is given.\n  Say tenfold codefusion generate nowhere --text "sort a list".'),
        (["generate", "nowhere", "--text", "x"], "nowhere holds no recipe.yaml."),
        (["generate", "nowhere", "--text", "x", "--eta", "2"], "eta is 2.0, but must lie between 0"),
        (["score"], "0 runs are named, so there is no one folder to write into.\n  Say --out DIR."),
        (["score", "a", "b"], "2 runs are named, so there is no one folder to write into.\n  Say --out DIR."),
        (["score", "a", "--language", "excel"], "language is 'excel'.\n  Give bash, python, or cf for Excel's conditional formatting."),
        (["score", "a", "--language", "bash"], "no test pairs are named.\n  Say --data FILE"),
        (["score", "a", "--curve", "0"], "curve names 0 steps, but there is at least 1."),
        (["score", "a", "--eta", "2"], "eta is 2.0, but must lie between 0"),
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
    scored = ["score", "run", "--data", pairs, "--language", "python", "--train", pairs, "--steps", "2", "--samples", "2", "--rank-by", "2"]
    code, out, _ = tenfold(*scored, "--batch", "4", "--curve", "1", "--embeddings", "run", "--speed-rounds", "1")
    assert code == 0 and "score.html has every interval" in out
    found = json.loads((tmp_path / "run" / "score" / "scores.json").read_text())
    assert [column["name"] for column in found["columns"]] == ["run", "retrieval"] and found["data"]["new"] == 0
    assert found["columns"][1]["splits"]["all"]["scores"]["embedding"]["1"]["value"] > 0.99
    code, _, complaint = tenfold(*scored, "--embeddings", "nowhere")
    assert code == 2 and "nowhere" in complaint
