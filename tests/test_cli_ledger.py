"""`tenfold ledger`: help at once, refusals in plain words; experiments are added, run, run again and shown."""

import io
import json

import pytest
from rich.console import Console

from made_tasks import tiny_model
from tenfold import api
from tenfold.cli import main
from tenfold.evaluate.ledger.experiment import from_words
from tenfold.evaluate.ledger.record import starter
from tenfold.recipes.ledger_models import LedgerDisplay, training

NEW = ["add", "word", "--claim", "Says yes", "--failed", "it said no", "--threshold", "0.5"]
PROMPTS = ["--prompt", "Is it so?\\nA:", "Is it?\\nA:", "--choices", "Yes", "No", "--expect", "Yes", "No"]


@pytest.fixture(scope="module")
def models():
    return {"tiny": tiny_model(), "other": tiny_model(seed=1)}


@pytest.fixture
def tenfold(tmp_path, monkeypatch, capsys, models):
    """`tenfold(...)` -> (exit code, stdout, stderr) of `tenfold ledger ...` in an empty directory, where RUNs called tiny and other are."""
    monkeypatch.chdir(tmp_path)
    for name in models:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(api, "load", lambda run, adapter=None: models[run])
    monkeypatch.setattr("tenfold.recipes.ledger_models.load", lambda run: models[run])
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        try:
            main(["ledger", *map(str, arguments)])
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        return code, *capsys.readouterr()

    return run


def test_help_and_refusals_come_without_jax(run_python):
    program = """
        import contextlib, io, sys
        from tenfold.cli import main
        for arguments in ([], ["--help"], ["add", "--help"], ["run", "--help"], ["show", "--help"], ["run"], ["add"], ["show"], ["see"]):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as complaint:
                try:
                    main(["ledger", *arguments])
                    code = 0
                except SystemExit as ended:
                    code = ended.code or 0
            print(code, len(shown.getvalue()) > 4, "jax" in sys.modules)
    """
    assert run_python(program, devices=1).splitlines() == ["0 True False"] * 5 + ["2 False False"] * 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["see"], "'see' is not something to do with a ledger.\n  Say add, run or show."),
        (["add"], "nothing is named.\n  Name files that end in .yaml, one new experiment, or --starter."),
        (["add", "one", "two"], "one and two is named."),
        (["add", "nowhere.yaml"], "nowhere.yaml could not be read"),
        (["add", "word", "--claim", "c", "--failed", "f"], "threshold is missing"),
        ([*NEW], "an experiment says exactly one of task, made and prompts; this one says none"),
        ([*NEW, "--prompt", "a", "b", "--expect", "c"], "2 texts follow --prompt and 1 --expect"),
        ([*NEW, "--made", "dancing"], "made is 'dancing', which nothing here makes"),
        (["run"], "no model is named."),
        (["run", "--model", "tiny"], "ledger holds no experiments.\n  `tenfold ledger add --starter`"),
        (["show", "--ledger", "elsewhere"], "elsewhere holds no experiments."),
    ],
)
def test_what_cannot_work_is_refused_in_plain_words(tenfold, tmp_path, arguments, message):
    code, _, complaint = tenfold(*arguments)
    assert code == 2 and f"tenfold ledger: {message}" in complaint and "Traceback" not in complaint
    assert not (tmp_path / "ledger").exists()


def test_an_experiment_is_added_run_and_shown(tenfold, tmp_path):
    """One of the command line's words; a second model; nothing again; the page is there and says which model passes."""
    code, out, complaint = tenfold(*NEW, *PROMPTS)
    assert code == 0 and "1 new, 1 in all" in out, complaint
    assert tenfold("run", "--model", "nowhere")[2].startswith("tenfold ledger: --model names nowhere, which is not there.")
    assert "has no experiment 'words'" in tenfold("run", "words", "--model", "tiny")[2]
    code, out, complaint = tenfold("run", "word", "--model", "tiny", "other")
    assert code == 0, complaint
    assert out.count("2 items in") == 2 and "tiny" in out and "other" in out
    code, again, _ = tenfold("run", "--model", "tiny", "other")
    assert again.count("was there already") == 2
    assert len(list((tmp_path / "ledger" / "results" / "word").glob("*.json"))) == 2
    code, out, _ = tenfold("show")
    assert code == 0 and "word" in out and "ledger/board.html" in out
    page = (tmp_path / "ledger" / "board.html").read_text()
    assert "Says yes" in page and "it said no" in page and "tiny" in page
    assert json.loads((tmp_path / "ledger" / "board.json").read_text())["experiments"][0]["name"] == "word"


def test_programs_run_only_where_that_is_allowed(tenfold, tmp_path):
    file = tmp_path / "code.yaml"
    file.write_text("claim: c\nfailed: f\nthreshold: 1\nmax_tokens: 2\nprompts: [{prompt: 'n = ', tests: 'assert n == 1'}]\n")
    assert tenfold("add", "code.yaml")[0] == 0
    code, out, _ = tenfold("run", "--model", "tiny")
    assert code == 0 and "1 not run, as they run programs that the model writes: code" in out and "say --run-code" in out
    assert "not run" in tenfold("show")[1]


def test_what_is_left_out_is_said_and_ends_with_1(tenfold, tmp_path):
    (tmp_path / "long.yaml").write_text("claim: c\nfailed: f\nthreshold: 1\nmax_tokens: 999\nprompts: [{prompt: a, expect: b}]\n")
    assert tenfold("add", "long.yaml")[0] == 0
    code, out, _ = tenfold("run", "--model", "tiny")
    assert code == 1 and "left out: max_tokens is 999" in out


def test_the_starter_comes_whole_and_once(tenfold, tmp_path):
    code, out, _ = tenfold("add", "--starter")
    assert code == 0 and f"{len(starter())} new" in out
    changed = tmp_path / "ledger" / "experiments" / "induction.yaml"
    changed.write_text(changed.read_text().replace("0.9", "0.7"))
    code, out, _ = tenfold("add", "--starter")
    assert code == 0 and out.startswith("0 new") and "0.7" in changed.read_text()


def test_a_terminal_has_a_bar_and_a_line_for_each():
    console = Console(file=io.StringIO(), force_terminal=True, width=120, highlight=False)
    one = from_words("one", {"claim": "c", "failed": "f", "threshold": 0.5, "made": "dates", "items": 20})
    with LedgerDisplay(console) as display:
        display.start("one", 2, 1, 3)
        display.progress("texts", 5, 20)
        display.bar.refresh()
        display.left_out(one, "its data [are] not there")
    shown = console.file.getvalue()
    assert "1/3 one, 2 shots" in shown and "25%" in shown and "its data [are] not there" in shown


def test_what_a_run_was_trained_on(tmp_path):
    """The tokens of its result, and the operations that they took; of other models nothing is known."""
    from dataclasses import replace

    from tenfold.model.flops import train_flops_per_token
    from tenfold.recipes.demo import demo
    from tenfold.train.recipe import save_recipe
    from tenfold.train.records import write_json

    assert training(tmp_path) == (None, None)
    recipe = replace(demo(), name="a")
    save_recipe(recipe, tmp_path / "recipe.yaml")
    assert training(tmp_path) == (None, None)
    write_json(tmp_path / "result.json", {"tokens": 1000})
    assert training(tmp_path) == (1000, 1000 * train_flops_per_token(recipe.model))
