"""Python's answers, run in the sandbox beside the right code: what counts as the same, and the metric in a score."""

import json

import pytest

from made_fusion_score import TEST, TRAIN, rote, write_lines
from tenfold.codefusion.running import can_be_run, do_the_same
from tenfold.codefusion.score import score
from tenfold.codefusion.score_settings import ScoreSettings
from tenfold.codefusion.settings import Sampling
from tenfold.errors import UserError
from tenfold.recipes.codefusion_score import notes
from tenfold.report.codefusion import score_page

SAME = [
    ("x.sort()", "l.sort()"),
    ("list(reversed(list(range(10))))", "list(range(9, -1, -1))"),
    ("all(x == myList[0] for x in myList)", "len(set(myList)) <= 1"),
    ("res = {k: d[k] for k in d if k != 'b'}", "dict((key, d[key]) for key in d if key != 'b')"),
    ("print(l[3:] + l[:3])", "print(q[3:] + q[:3])"),
    ("map(str, x)", "[str(each) for each in x]"),
    ("set(a) & set(b)", "set(a).intersection(b)"),
    ("re.sub('a', 'b', s)", "s.replace('a', 'b')"),
    ("datetime.strptime(s, '%Y-%m-%d')", "datetime.datetime.strptime(s, '%Y-%m-%d')"),
]
OTHER = [
    ("x.sort()", "sorted(x)"),
    ("x.sort()", "x.reverse()"),
    ("sum(sum(i) if isinstance(i, list) else i for i in L)", "sum(sum(row) for row in L)"),
    ("s.split(' ', 4)", "s.split(' ')"),
    ("print(x[0])", "x[0]"),
    ("sorted(o.items())", "sorted(o.items(), key=lambda pair: pair[1])"),
    ("[n for n, row in enumerate(t) if row[0] == '332']", "[n for n, row in enumerate(t) if row[0] == 332]"),
    ("re.sub('\\\\bH3\\\\b', 'H1', text)", "re.sub('get', 'H1', text)"),
    ("s.encode('iso-8859-15')", "s.encode('ascii', 'ignore')"),
    ("x.append(1)", "x.append(2)"),
    ("a - b", "b - a"),
    ("len(x)", "len(y.z)"),
    ("len(x)", "import os; os._exit(0)"),
    ("len(x)", "while True: pass"),
    ("len(x)", "len(x"),
]


def test_what_is_the_same():
    """Other names, other words, a value or a name for it; and not: another order, something printed, something changed, no end."""
    assert do_the_same([*SAME, *OTHER]) == [True] * len(SAME) + [False] * len(OTHER)


def test_every_snippet_that_can_be_run_does_the_same_as_itself():
    cannot = [
        "df.to_csv('x')",
        "random.random()",
        "random.choice(x)",
        "while True: pass",
        "pass",
        "requests.get(url)",
        "x.sort(",
        "exit()",
        "lambda: 3",
        "os.system('ls')",
    ]
    assert can_be_run([gold for gold, _ in SAME] + cannot) == [True] * len(SAME) + [False] * len(cannot)
    assert all(do_the_same([(gold, gold) for gold, _ in SAME]))
    assert not any(do_the_same([(gold, gold) for gold in cannot])), "nothing is known of it"


def test_a_score_runs_what_can_be_run(tmp_path, monkeypatch):
    """`x.sort()`, `print(...)` and both lengths can be run, `open(path)` cannot; what is right by its tree stays right."""
    write_lines(tmp_path / "test.jsonl", TEST)
    write_lines(tmp_path / "train.jsonl", TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tenfold.codefusion.score.open_candidates", lambda runs: [rote()])
    how = Sampling(steps=1, samples=5)
    settings = ScoreSettings("test.jsonl", "python", ("train.jsonl",), sampling=how, speed_rounds=0, run_code=True)
    found, _ = score(["run"], settings, tmp_path / "out", lambda *_: None)
    rows = [json.loads(line) for line in (tmp_path / "out" / "rote.jsonl").open()]
    execution = {row["gold"]: dict(zip(row["codes"], row["scores"]["execution"], strict=True)) for row in rows}
    assert execution["len(x)"]["len(s)"] == 1 and execution["len(x)"]["x.sort()"] == 0
    assert execution["f = open(path)"] == {code: float(code == "f = open(path)") for code in execution["f = open(path)"]}
    assert all(
        execution[row["gold"]][code] >= right for row in rows for code, right in zip(row["codes"], row["scores"]["ast"], strict=True)
    )
    assert "execution" in found["metrics"] and found["data"]["run"] == 4
    assert "4 items have code that can be run" in " ".join(notes(found)) and "4 items have code" in score_page(tmp_path / "out").read_text()


def test_a_system_that_cannot_contain_them_is_refused_before_anything_is_sampled(tmp_path, monkeypatch):
    write_lines(tmp_path / "test.jsonl", TEST)
    candidate = rote()
    monkeypatch.setattr("tenfold.codefusion.score.open_candidates", lambda runs: [candidate])
    monkeypatch.setattr("tenfold.evaluate.sandbox.sys.platform", "darwin")
    train = write_lines(tmp_path / "train.jsonl", TRAIN)
    settings = ScoreSettings(str(tmp_path / "test.jsonl"), "python", (str(train),), run_code=True)
    with pytest.raises(UserError, match="run on Linux alone"):
        score(["run"], settings, tmp_path / "out", lambda *_: None)
    assert candidate.model.asked == [] and not (tmp_path / "out").exists()


def test_other_languages_are_not_run():
    with pytest.raises(UserError, match="run_code is set, but language is 'bash'"):
        ScoreSettings("test.jsonl", "bash", run_code=True)
