"""`tenfold align` and `tenfold generate --chat`: help at once, refusals in plain words, and an answer."""

import json

import pytest

from tenfold.cli import main
from tiny_chat import write_conversations, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture
def tenfold(tmp_path, monkeypatch, capsys):
    """`tenfold(*arguments)` -> (exit code, stdout, stderr), in an empty directory with names.jsonl."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write_conversations(tmp_path / "names.jsonl")

    def run(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def test_help_comes_without_jax(run_python):
    program = """
        import contextlib, io, sys
        from tenfold.cli import main
        for arguments in (["align"], ["align", "--help"], ["align", "sft"], ["align", "sft", "MODEL", "--help"],
                          ["align", "overoptimize"], ["align", "overoptimize", "demo", "--help"], ["align", "walk"],
                          ["align", "sft", "none.yaml"], ["align", "sft", "MODEL", "--chat.epochs", "-1"]):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as complaint:
                try:
                    main(arguments)
                    code = 0
                except SystemExit as ended:
                    code = ended.code or 0
            print(code, len(shown.getvalue()) > 4, "jax" in sys.modules)
    """
    assert run_python(program, devices=1).splitlines() == ["0 True False"] * 6 + ["2 False False"] * 3


def test_help_names_what_is_of_chats(tenfold):
    code, out, _ = tenfold("align", "sft", "MODEL", "--help")
    assert code == 0
    for said in ("--chat.template", "--chat.epochs", "--chat.pack", "--chat.too-long", "--data.held-out", "--lora.rank", "--show", "--out"):
        assert said in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("walk",), r"'walk' is not something to do with a model.\n  Say one of sft"),
        (("sft", "none", "--data", "names.jsonl", "--template", "plain"), "none does not exist, so there is no model to start from"),
        (("sft", "none.yaml"), "There is no recipe 'none.yaml'"),
        (("sft", "MODEL", "--template", "plain"), "there are no conversations to train on"),
        (("sft", "MODEL", "--data", "names.jsonl", "--model.context", "48"), "has no chat template.\n  Take one of alpaca, chatml"),
        (("sft", "MODEL", "--data", "names.jsonl", "--template", "plan", "--model.context", "48"), "the chat template is 'plan'"),
        (("sft", "MODEL/recipe.yaml"), "is a recipe of documents"),
        (("overoptimize", "MODEL", "--gold", "exact"), "data.paths is empty: there are no prompts"),
        (("overoptimize", "MODEL", "--data", "names.jsonl"), "gold.names is empty: nothing says what a completion is truly worth"),
        (("overoptimize", "none", "--data", "names.jsonl", "--gold", "exact"), "none does not exist"),
        (("overoptimize", "none.yaml"), "There is no file 'none.yaml'"),
        (("overoptimize", "MODEL", "--rl.batch", "12"), "rl.batch is 12, which rollout.completions 8 of each prompt do not divide"),
        (("distill", "demo"), "distill.teacher names no model to learn from"),
    ],
)
def test_refusals_say_the_mend(tenfold, model, tmp_path, arguments, said):
    code, _, complaint = tenfold("align", *(word.replace("MODEL", str(model)) for word in arguments))
    assert code == 2 and complaint.startswith("tenfold align: ") and said.replace(r"\n", "\n") in complaint
    assert not (tmp_path / "runs").exists()


def test_a_wrong_line_is_named(tenfold, model, tmp_path):
    (tmp_path / "wrong.jsonl").write_text(json.dumps({"prompt": "a", "completion": ""}) + "\n")
    code, _, complaint = tenfold("align", "sft", model, "--data", "wrong.jsonl", "--template", "plain", "--model.context", "48")
    assert code == 2
    assert complaint == "tenfold align: wrong.jsonl:1: completion is '', which is empty.\n  Write it, or leave the line out.\n"


def test_conversations_are_shown_with_what_is_trained_on(tenfold, model):
    code, out, _ = tenfold("align", "sft", model, "--data", "names.jsonl", "--template", "alpaca", "--model.context", "512", "--show", "1")
    assert code == 2  # the start has learned 48 positions
    code, out, _ = tenfold("align", "sft", model, "--data", "names.jsonl", "--template", "plain", "--model.context", "48", "--show", "1")
    assert code == 0
    assert out.splitlines()[0].startswith("--- names.jsonl:1: ") and "[[" in out and "<|endoftext|>]]" in out


def test_an_answer(tenfold, model):
    """By a template that is named; the model's own is missing, which is said."""
    code, out, _ = tenfold("generate", model, "--chat", "1 alpha", "--template", "plain", "--max-tokens", "4")
    assert code == 0 and "1 alpha" not in out
    code, _, complaint = tenfold("generate", model, "--chat", "1 alpha")
    assert code == 2 and "the model has no chat template" in complaint and "--template" in complaint
    code, _, complaint = tenfold("generate", model, "--chat", "a", "--prompt", "b")
    assert code == 2 and "--prompt and --chat are both given" in complaint
