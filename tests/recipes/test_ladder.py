"""`tenfold ladder` from the command line: what it refuses, and what it says."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from tenfold.cli import main
from tenfold.errors import UserError
from tenfold.recipes.ladder import Work, find_ladder, ladder_demo
from tenfold.recipes.ladder_road import predict_target, run_ladder, show_optimal
from tenfold.scaling.ladder import open_ladder, write_ladder
from tenfold.scaling.rungs import rungs
from tenfold.tokens.config import DataConfig
from tiny_ladder import entry, law, tiny_ladder
from tiny_run import write_shards


def said(call) -> str:
    return " ".join(" ".join(lines(call, 200)).split())


def lines(call, width: int) -> list[str]:
    text = StringIO()
    call(Console(file=text, width=width, highlight=False))
    return text.getvalue().splitlines()


def test_the_demo_spans_thirty_times_in_compute_and_its_target_four_times_more():
    ladder = ladder_demo()
    made = rungs(ladder, DataConfig(paths=("stdlib",)))
    assert len({rung.size for rung in made}) == 5 and made[-1].flops >= 30 * made[0].flops
    target = rungs(replace(ladder, sizes=(*ladder.sizes, ladder.target), target=0), DataConfig(paths=("stdlib",)))[-1]
    assert 4 * made[-1].flops <= target.flops <= 6 * made[-1].flops


def test_a_budget_refuses_before_a_document_is_read(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["ladder", "ladder-demo", "--budget-flops", "1e9", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and "--budget-flops is 1e+09" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_words_reach_the_ladder(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["ladder", "gpt3-125m", "--data", "texts", "--sizes", "2", "2", "3"])
    assert ended.value.code == 2 and "sizes names 2 twice" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ladder", "verify", str(tmp_path)])
    assert "tenfold ladder predict" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ladder", "predict", str(tmp_path), "--target", "9"])
    assert "is no ladder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ladder"])
    assert "ladder-demo" in capsys.readouterr().out


def test_a_trained_ladder_says_what_it_found(tmp_path):
    """The command again where all is trained, here made up, and what follows it."""
    ladder, out = tiny_ladder(write_shards(tmp_path / "data"), sizes=(2, 3, 4, 6)), tmp_path / "out"
    opened = open_ladder(ladder, out)
    write_ladder(opened, [entry(rung, law(rung.flops)) for rung in rungs(ladder, opened.shared)])
    text = said(lambda console: run_ladder(ladder, Work(out, budget_minutes=1e-9), console))
    assert text.count("done") >= 4 and "power-offset" in text and f"tenfold ladder predict {out}" in text
    assert "without embeddings" in text
    narrow = lines(lambda console: run_ladder(ladder, Work(out, budget_minutes=1e-9), console), 80)
    header = next(line for line in narrow if "parameters" in line)
    assert all(name in header for name in ("model", "tokens", "epochs", "FLOPs", "time")) and "layers" not in header
    assert find_ladder(str(out)) == ladder
    text = said(lambda console: predict_target(out, 9, "power", None, console))
    assert "Predicted, by power from 4 smaller models: size 9" in text
    shown = (out / "report.html").read_text()
    assert "size2-0.2x" in shown and "by the law power" in shown and "://" not in shown
    with pytest.raises(UserError, match="chinchilla has 5 constants"):
        show_optimal(out, 1e12, None)
