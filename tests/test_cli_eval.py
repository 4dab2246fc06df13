"""`tenfold eval`: help at once, refusals in plain words; a small run, a resumed one and a difference come out as they should."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from made_results import choice, result
from made_tasks import tiny_model, write_tasks
from tenfold import api
from tenfold.cli import main
from tenfold.evaluate.rules import RULES
from tenfold.recipes.evaluate_road import Display, tables


@pytest.fixture
def tenfold(tmp_path, monkeypatch, capsys):
    """`tenfold("eval", ...)` -> (exit code, stdout, stderr) in an empty directory with tasks/; a RUN called "tiny" or "other" loads."""
    monkeypatch.chdir(tmp_path)
    write_tasks(tmp_path / "tasks")
    models = {"tiny": tiny_model(), "other": tiny_model(seed=1), "wordless": replace(tiny_model(), tokenizer=None)}
    monkeypatch.setattr(api, "load", lambda run, adapter=None: models[run])
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        try:
            main(["eval", *map(str, arguments)])
            code = 0
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def test_help_comes_without_jax(run_python):
    program = """
        import contextlib, io, sys
        from tenfold.cli import main
        for arguments in (["eval"], ["eval", "--help"], ["eval", "RUN", "--help"], ["eval", "diff", "--help"], ["eval", "tasks", "--help"],
                          ["eval", "contamination", "--help"], ["eval", "samples", "--help"],
                          ["eval", "emergence", "--help"], ["eval", "practice", "--help"],
                          ["eval", "RUN"], ["eval", "RUN", "piqa", "--limit", "0"]):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as complaint:
                try:
                    main(arguments)
                    code = 0
                except SystemExit as ended:
                    code = ended.code or 0
            print(code, len(shown.getvalue()) > 4, "jax" in sys.modules)
    """
    assert run_python(program, devices=1).splitlines() == ["0 True False"] * 9 + ["2 False False"] * 2


def test_help_names_every_option(tenfold):
    code, out, _ = tenfold("RUN", "--help")
    assert code == 0
    for said in ("RUN", "TASKS", "--shots", "--limit", "--seed", "--rules", "--weights", "--data", "--out", "--adapter", "--run-code"):
        assert said in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("tiny", "tasks/choose.yaml", "--data"), "--data names no folder"),
        (("tiny", "tasks/choose.yaml", "--data", "--limit", "3"), "--data names no folder"),
        (("tiny", "tasks/choose.yaml", "--data="), "--data names no folder"),
        (["tiny"], "tenfold eval: no task is named."),
        (["tiny", "hellaswga"], "tenfold eval: there is no task 'hellaswga': did you mean hellaswag"),
        (["tiny", "tasks/choose.yaml", "--shots", "9"], "tenfold eval: choose is asked with 9 shots, but has 6 examples to show."),
        (["tiny", "tasks/untrained.yaml", "--shots", "1"], "nowhere.jsonl"),
        (["tiny", "piqa", "--data", "nowhere"], "tenfold eval: --data names nowhere, which is not there."),
        (["wordless", "tasks/choose.yaml"], "tenfold eval: this model has no tokenizer"),
        (["contamination", "nowhere"], "tenfold eval: no task is named."),
        (["contamination", "nowhere", "tasks/choose.yaml"], "nowhere"),
        (["emergence"], "tenfold eval: no ladder and no run is named."),
        (["emergence", "nowhere"], "tenfold eval: no task is named."),
        (["emergence", "nowhere", "--tasks", "tasks/choose.yaml"], "tenfold eval: nowhere does not exist."),
        (["emergence", "nowhere", "--tasks", "tasks/text.yaml"], "tenfold eval: text is of kind perplexity"),
        (["emergence", "a", "b", "--tasks", "tasks/choose.yaml"], "tenfold eval: 2 places are named, so there is no one folder"),
        (["practice", "tasks", "--tasks", "piqa", "--share", "0.2", "--out", "out"], "tenfold eval: piqa cannot be practised"),
        (["samples"], "tenfold eval: no RUN is named, and no --out."),
        (["samples", "tiny", "--samples", "1"], "tenfold eval: samples is 1, but must be 2 or more."),
        (["diff", "a", "b"], "tenfold eval: a holds no results of an evaluation."),
    ],
)
def test_what_cannot_work_is_refused_in_plain_words(tenfold, tmp_path, arguments, message):
    code, out, complaint = tenfold(*arguments)
    assert code == 2 and message in complaint and "Traceback" not in complaint
    assert not (tmp_path / "tiny").exists()


def test_a_run_is_measured_shown_and_not_measured_twice(tenfold, tmp_path):
    """Three results in two tables, the task's own marked; files and page in RUN/eval; the same words again measure nothing."""
    said = ["tiny", "tasks/choose.yaml", "tasks/word.yaml", "--shots", "0,2"]
    code, out, complaint = tenfold(*said)
    assert code == 0, complaint
    for word in ("choose", "word", "accuracy", "perplexity", "answer", "empty", "centred", "6 items in"):
        assert word in out
    results = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "tiny" / "eval").glob("*.json")}
    assert results.keys() == {"choose-0shot", "choose-2shot", "word-0shot", "word-2shot"}
    assert f"{100 * results['choose-2shot']['scores']['answer']['value']:.1f}*" in out
    assert (tmp_path / "tiny" / "eval" / "evaluation.html").exists()
    code, again, _ = tenfold(*said)
    assert code == 0 and again.count("was there already") == 4


def test_a_model_with_adapters_leaves_the_models_own_results_alone(tenfold, tmp_path):
    """Its results go into the adapters' folder."""
    for more in ([], ["--adapter", "lora"]):
        assert tenfold("tiny", "tasks/choose.yaml", *more)[0] == 0
    assert (tmp_path / "tiny" / "eval" / "choose-0shot.json").exists() and (tmp_path / "lora" / "eval" / "choose-0shot.json").exists()


def test_a_table_fits_a_terminal():
    """Of 80 columns, with all rules: nothing is folded."""
    items = [choice(number, number % 2, (-1.0, -2.0)) for number in range(10)]
    found = result(items, task="winogrande")
    found = replace(found, scores={rule: found.scores["sum"] for rule in RULES})
    console = Console(file=io.StringIO(), width=80)
    console.print(*tables([found]))
    assert console.file.getvalue().count("\n") == 3 and "winogrande" in console.file.getvalue() and "centred" in console.file.getvalue()


def test_a_terminal_has_a_bar_with_the_time_left(tmp_path):
    """The share done, what is counted, and the results as lines; another part of the work begins at zero."""
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Display(console) as display:
        display.start("piqa", 5, 2, 3)
        for what, done in (("tokens", 50), ("tokens", 75), ("texts", 1)):
            display.progress(what, done, 100)
            display.bar.refresh()
    shown = console.file.getvalue()
    for said in ("2/3 piqa, 5 shots", "75%", "tokens", "1%", "texts", ":"):
        assert said in shown


def test_two_models_are_compared(tenfold):
    for model in ("tiny", "other"):
        assert tenfold(model, "tasks/choose.yaml", "--data", ".", "--data", "tasks")[0] == 0
    code, out, _ = tenfold("diff", "tiny", "other")
    assert code == 0
    assert "choose, 0 shots" in out and "model: tiny (" in out and "on the 6 items that both have" in out
    code, out, _ = tenfold("diff", "tiny", "tiny")
    assert code == 0 and out.split("the first\n")[0].split()[-2:] == out.split("  the second\n")[0].split()[-2:]


def test_tasks_are_listed_and_shown(tenfold):
    code, out, _ = tenfold("tasks")
    assert code == 0 and "hellaswag" in out and "lambada" in out
    code, out, _ = tenfold("tasks", "tasks/choose.yaml")
    assert code == 0 and "scoring: answer" in out and "Which is 0?\n->  alpha\n->  delta é" in out
