"""The command line: quick to answer, plain when it refuses, and a run's recipe.yaml is a recipe."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import process_environment
from tenfold.cli import main
from tenfold.corpus.documents import document_id, is_held_out
from tenfold.train.recipe import load_recipe, save_recipe
from tiny_run import VOCAB, tiny_recipe, write_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data"))


@pytest.fixture
def recipe_file(data, tmp_path) -> Path:
    save_recipe(tiny_recipe(data), tmp_path / "recipe.yaml")
    return tmp_path / "recipe.yaml"


@pytest.fixture
def tenfold(tmp_path, monkeypatch, capsys):
    """`tenfold(*arguments)` -> (exit code, stdout, stderr), run in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def test_help_is_quick_and_leaves_jax_alone(run_python):
    """Under 0.5 s of the processor's time, Python's start included; neither JAX nor any other large library is imported."""
    program = """
        import sys, time
        from tenfold.cli import main
        main(["--help"])
        heavy = {"jax", "numpy", "daft", "grain", "tokenizers", "pyarrow", "orbax", "optax", "tyro"} & set(sys.modules)
        print(sorted(heavy), time.process_time())
    """
    *shown, last = run_python(program, devices=1).splitlines()
    assert shown[0].startswith("usage: tenfold COMMAND")
    for command in ("demo", "corpus", "train", "ladder", "generate", "align", "eval", "ledger", "codefusion", "convert", "report"):
        assert any(line.strip().startswith(f"tenfold {command}") for line in shown)
    heavy, seconds = last.rsplit(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_commands_explain_themselves_without_jax(run_python):
    """Help of every command, and refusals of a recipe's values, come before JAX is imported."""
    program = """
        import contextlib, io, sys
        from tenfold.cli import main
        for arguments in (["train"], ["train", "gpt3-125m", "--help"], ["ladder"], ["ladder", "ladder-demo", "--help"],
                          ["generate", "--help"], ["report", "--help"], ["codefusion"], ["codefusion", "generate", "--help"],
                          ["codefusion", "pretrain", "codefusion-small", "--help"],
                          ["train", "gpt3-125m", "--model.heads", "7"], ["--version"]):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as complaint:
                try:
                    main(arguments)
                    code = 0
                except SystemExit as ended:
                    code = ended.code or 0
            print(code, len(shown.getvalue()) > 4, "jax" in sys.modules)
    """
    lines = run_python(program, devices=1).splitlines()
    assert lines == ["0 True False"] * 9 + ["2 False False", "0 True False"]


def test_a_recipes_help_lists_its_fields_with_its_values(tenfold):
    code, out, _ = tenfold("train", "gpt3-125m", "--help")
    assert code == 0
    for said in ("--model.layers", "--optimizer.learning-rate", "0.0006", "--mesh.fsdp", "--data.paths", "--show-batch", "--coordinator"):
        assert said in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["trian"],
            "tenfold trian: 'trian' is not a command.\n"
            "  Commands: demo, corpus, train, ladder, generate, convert, report, eval, ledger, align, codefusion.",
        ),
        (["train", "gpt4"], "tenfold train: 'gpt4' is neither a recipe nor a file.\n  Recipes: gpt3-125m,"),
        (
            ["train", "gpt3-125m", "--model.embed", "500"],
            "tenfold train: model.heads is 12 but model.embed is 500, which 12 does not divide.",
        ),
        (["train", "gpt3-125m", "--train.steps", "-5"], "tenfold train: train.steps is -5, but must be at least 1."),
        (["train", "gpt3-125m", "--mesh.fsdp", "0"], "tenfold train: mesh.fsdp is 0"),
        (["train", "gpt3-125m"], "tenfold train: data.paths is empty: there is nothing to train on."),
        (["train", "gpt3-125m", "--data", "not-there"], "not-there"),
        (["train", "RECIPE", "--model.vocab", "100"], "100"),
        (
            ["train", "RECIPE", "--mesh.data", "3"],
            "tenfold train: mesh data 3 x fsdp 1 x sequence 1 x tensor 1 = 3, but there are 1 devices.",
        ),
        (["train", "RECIPE", "--show-batch", "99"], "tenfold train: --show-batch is 99, but the run's steps are 1 to 12."),
        (["train", "RECIPE", "--coordinator", "here"], "tenfold train: --coordinator is 'here', but must be HOST:PORT"),
        (["generate", "nowhere"], "tenfold generate: nowhere is not a run: it holds no recipe.yaml."),
        (["convert", "inport", "x"], "tenfold convert: 'inport' is not something to do with a model."),
        (["convert", "import", "nowhere", "out"], "tenfold convert: nowhere does not exist, so there is no model to start from."),
        (["convert", "export", "nowhere", "out"], "nowhere"),
        (["report"], "tenfold report: no run is named."),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_work_is_refused_in_plain_words(tenfold, recipe_file, arguments, message):
    """Code 2, what and why on stderr with the mend on a line of its own, nothing on stdout, no traceback, no run left behind."""
    code, out, complaint = tenfold(*[recipe_file if argument == "RECIPE" else argument for argument in arguments])
    assert code == 2
    assert message in complaint and "Traceback" not in complaint
    assert complaint.startswith(f"tenfold {arguments[0]}: ")
    assert out == ""
    assert not list(Path("runs").glob("*/checkpoints"))


@pytest.mark.parametrize("arguments", [["--model.layer", "3"], ["--model.layers", "three"], ["--nonsense"]])
def test_unknown_fields_and_wrong_types_are_refused_by_name(tenfold, arguments):
    code, out, complaint = tenfold("train", "gpt3-125m", *arguments)
    assert code == 2
    assert arguments[-1] in out + complaint and "Traceback" not in out + complaint


def test_an_unknown_field_in_a_file_is_refused_by_name(tenfold, recipe_file):
    recipe_file.write_text(recipe_file.read_text().replace("heads:", "haeds:"))
    code, _, complaint = tenfold("train", recipe_file)
    assert code == 2 and complaint.startswith("tenfold train: model.haeds is not a field of a recipe.\n  The fields here are vocab, ")


def test_a_vocabulary_smaller_than_the_tokenizer_says_both_sizes(tenfold, recipe_file):
    tokens = json.loads(next(Path(load_recipe(recipe_file).data.paths[0]).glob("train/tokens.json")).read_text())["vocab"]
    _, _, complaint = tenfold("train", recipe_file, "--model.vocab", str(tokens - 1))
    assert str(tokens) in complaint and str(tokens - 1) in complaint and "vocab" in complaint


def test_a_demo_that_could_measure_nothing_says_so_before_it_trains(tenfold, tmp_path):
    """Texts whose hashes leave none of them to the 5% held out."""
    (tmp_path / "few").mkdir()
    for number, text in enumerate(text for text in (f"text {n}\n" * 40 for n in range(9)) if not is_held_out(document_id(text))):
        (tmp_path / "few" / f"{number}.txt").write_text(text)
    code, _, complaint = tenfold("demo", "--documents", tmp_path / "few", "--out", tmp_path / "run")
    assert code == 2 and "none of them falls to the 5% held out" in complaint and "Traceback" not in complaint
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_batch_is_shown_without_training(tenfold, recipe_file, tmp_path):
    """A JSON line a row: its documents by name and place, and its text, which is in the documents."""
    code, out, _ = tenfold("train", recipe_file, "--show-batch", "2", "--out", tmp_path / "run")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["row"] for row in rows] == list(range(8, 16))
    texts = {path.name: path.read_text() for path in Path(load_recipe(recipe_file).data.paths[0]).parents[1].glob("documents/*.py")}
    for row in rows:
        assert all(Path(document["source"]).name in texts for document in row["documents"])
        if len(row["documents"]) == 1:
            assert row["text"] in texts[Path(row["documents"][0]["source"]).name]
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_a_runs_recipe_is_a_recipe(tenfold, recipe_file, tmp_path):
    """Trained by command line with an override; its recipe.yaml, passed back, gives the same run; its directory does as well."""
    code, out, complaint = tenfold("train", recipe_file, "--train.steps", "3", "--out", tmp_path / "one")
    assert code == 0, complaint
    assert f"tenfold generate {tmp_path / 'one'}" in out
    assert load_recipe(tmp_path / "one" / "recipe.yaml") == replace(
        load_recipe(recipe_file), train=replace(load_recipe(recipe_file).train, steps=3)
    )
    assert tenfold("train", tmp_path / "one" / "recipe.yaml", "--out", tmp_path / "two")[0] == 0
    assert (tmp_path / "one" / "metrics.jsonl").read_bytes() == (tmp_path / "two" / "metrics.jsonl").read_bytes()
    code, _, complaint = tenfold("train", tmp_path / "one", "--train.batch", "16", "--out", tmp_path / "one")
    assert code == 2 and "train.batch: 8 there, 16 asked for" in complaint


@pytest.mark.slow
def test_a_run_is_exported_and_every_command_reads_the_copy(tenfold, recipe_file, tmp_path):
    """As a Hugging Face directory and as a .gguf; both write the text that the run writes. Nothing is written over."""
    assert tenfold("train", recipe_file, "--train.steps", "2", "--out", tmp_path / "run")[0] == 0
    texts = [tenfold("generate", tmp_path / "run", "--prompt", "def alpha", "--temperature", "0", "--max-tokens", "8")[1]]
    for out in ("hf", "model.gguf"):
        code, said, complaint = tenfold("convert", "export", tmp_path / "run", tmp_path / out)
        assert (code, said) == (0, f"{tmp_path / out}\n"), complaint
        texts.append(tenfold("generate", tmp_path / out, "--prompt", "def alpha", "--temperature", "0", "--max-tokens", "8")[1])
    assert texts[0].strip() and texts[0] == texts[1] == texts[2]
    code, _, complaint = tenfold("convert", "export", tmp_path / "run", tmp_path / "hf")
    assert code == 2 and "is there already" in complaint


def test_ctrl_c_saves_and_the_same_command_goes_on(recipe_file, tmp_path):
    """A real SIGINT to a real `tenfold train`: code 130, a checkpoint at the step it says, and no traceback."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tenfold.cli", "train", str(recipe_file), "--train.steps", "100000", "--out", str(out)]
    command += ["--train.checkpoint-every", "50000", "--train.evaluate-every", "50000"]
    process = subprocess.Popen(command, env=process_environment(1), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            if (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").stat().st_size > 1000:
                break
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        said, complaint = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130, complaint
    result = json.loads((out / "result.json").read_text())
    assert not result["finished"] and f"Stopped at step {result['steps']}, with a checkpoint." in said
    assert [path.name for path in (out / "checkpoints").iterdir()] == [str(result["steps"])]
    assert json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"] == result["steps"]
    assert "Traceback" not in complaint


def test_the_tiny_tokenizer_fits_the_tiny_model(data):
    assert json.loads((data / "train" / "tokens.json").read_text())["vocab"] <= VOCAB
