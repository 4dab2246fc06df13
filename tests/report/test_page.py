"""The page: whole, safe, offline, and there for any run."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tenfold.errors import UserError
from tenfold.report.page import report
from tenfold.report.read import WHY_ABSENT

EVIL = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>"
VOID = {"meta", "input", "br", "img", "link", "hr"}
SVG_SELF_CLOSED = {"path"}


class Page(HTMLParser):
    """A page's tags, attributes and words; fails where a tag is not closed."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG_SELF_CLOSED
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(*runs: Path) -> Page:
    return Page(report(list(runs)).read_text("utf-8"))


def test_a_finished_run(make_run):
    run = make_run()
    assert report([run]) == run / "report.html"
    page = page_of(run)
    for words in ("1.350", "0.06 below xz -9", "better than order-0 entropy, xz -9 and a byte 5-gram", "3.413M", "2 min", "AMD EPYC"):
        assert words in page.text
    for words in ("Learning rate", "Gradient norm", "Throughput", "Model FLOPs utilisation", "Held-out bits per byte", "5-gram 1.71"):
        assert words in page.text
    assert "rejected, undecodable 3 1.42 kB such as test/bad_coding.py" in page.text
    assert (
        "learning_rate 0.0006" in page.text
        and 'prompts "def ", import' in page.text
        and "Step 400" in page.text
        and "Step 40 " in page.text
    )
    assert "is not there" not in page.text
    assert page.tags.count("svg") == 3 + 1 + 4


def test_it_needs_no_network_and_no_other_file(make_run):
    page = page_of(make_run(), make_run("other", layers=8))
    assert not {"link", "img", "iframe", "object", "a"} & set(page.tags)
    assert not [a for a in page.attributes if a[1] in {"src", "href", "xlink:href", "action", "srcset"}]
    style = Path(report.__code__.co_filename).with_name("style.css").read_text()
    assert "url(" not in style and "@import" not in style
    assert not any("fetch(" in s or "http" in s or "innerHTML" in s for s in page.scripts)


def test_it_stays_small(make_run):
    run = make_run(steps=20_000)
    assert report([run]).stat().st_size < 500_000


def evil_run(make_run) -> Path:
    """A run that writes HTML wherever a run can write words."""
    run = make_run("demo <b>&", steps=40)
    (run / "samples.jsonl").write_text(json.dumps({"step": 1, "prompt": EVIL, "text": EVIL}) + "\n")
    (run / "recipe.yaml").write_text(yaml.safe_dump({EVIL: {EVIL: EVIL}, "plain": EVIL}))
    example = {"documents": 1, "bytes": 2, "examples": [EVIL]}
    (run / "documents.json").write_text(json.dumps({"path": EVIL, "train": {}, "held_out": {}, "rejected": {EVIL: example}}))
    bits = {"model": 2.0, EVIL: 3.0, "order0": 4.0}
    (run / "result.json").write_text(json.dumps({"held_out": {"bits_per_byte": bits}, "machine": {EVIL: EVIL}, "command": EVIL}))
    return run


def test_what_a_run_wrote_is_shown_and_never_run(make_run):
    plain = page_of(make_run("plain", steps=40))
    run = evil_run(make_run)
    page = page_of(run)
    assert "onerror" not in {name for _, name, _ in page.attributes} and "img" not in page.tags
    assert page.tags.count("script") == plain.tags.count("script")
    assert page.text.count("<script>alert(1)</script>") >= 8
    both = page_of(run, make_run("other", steps=40))
    assert "img" not in both.tags and "onerror" not in {name for _, name, _ in both.attributes}
    assert any("demo <b>&" in s["name"] for s in json.loads(both.scripts[0])["series"])
    assert not any("</" in script or "<b>" in script for script in both.scripts)


@pytest.mark.parametrize("file", WHY_ABSENT)
def test_without_any_one_file_the_page_says_so(make_run, file):
    page = page_of(make_run(steps=40, without=(file,)))
    assert f"{file} is not there: {WHY_ABSENT[file]}" in page.text


@pytest.mark.parametrize("file", WHY_ABSENT)
def test_one_file_alone_makes_a_page(make_run, file):
    page = page_of(make_run(steps=40, without=tuple(name for name in WHY_ABSENT if name != file)))
    assert all((f"{other} is not there" in page.text) == (other != file) for other in WHY_ABSENT)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_that_has_just_begun(make_run, steps):
    page = page_of(make_run(steps=steps, without=("result.json", "samples.jsonl", "timing.jsonl")))
    assert "in progress" in page.text


@pytest.mark.parametrize(
    "damage", [{"held_out": None}, {"held_out": {"bits_per_byte": {"model": None}}}, {"machine": "x", "steps": "y"}, {}]
)
def test_results_of_other_commands_do_not_break_it(make_run, damage):
    run = make_run(steps=40)
    (run / "result.json").write_text(json.dumps(damage))
    assert "Loss" in page_of(run).text


def test_fields_that_hold_no_numbers_are_left_out(make_run):
    run = make_run(steps=2)
    (run / "timing.jsonl").write_text('{"step": 1, "seconds": null, "tokens_per_second": "fast", "mfu": null}\n')
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0, "tokens": null, "lr": true}\n{"step": 2, "loss": NaN}\n')
    page = page_of(run)
    assert "the last loss is not a number" in page.text and "Throughput" not in page.text and "Learning rate" not in page.text


def test_a_cut_last_line_is_told(make_run):
    run = make_run(steps=40)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 41, "lo')
    assert "The last line of metrics.jsonl was cut short" in page_of(run).text


def test_runs_compared(make_run):
    runs = [make_run("demo"), make_run("deeper", layers=8, steps=300)]
    out = report(runs)
    assert out == runs[0].parent / "comparison.html"
    page = Page(out.read_text())
    assert "field demo deeper name demo demo deeper deeper model.layers demo 4 deeper 8 Loss" in page.text
    assert "embed 256" in page.text and "model.embed" not in page.text
    assert "demo · deeper" in page.text and "1.300" in page.text
    names = [s["name"] for s in json.loads(page.scripts[0])["series"]]
    assert names == ["demo, train, smoothed", "demo, held out", "deeper, train, smoothed", "deeper, held out"]
    assert page.text.count("xz -9 the held-out text") == 1  # measured on the same bytes: told once


def with_experts(run: Path, load: list[float], dropped: float = 0.0) -> Path:
    """The run as that of a mixture: every step sends these shares to its experts."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines = [line | ({"load": load, "dropped": dropped, "balance": 1.1} if "loss" in line else {}) for line in lines]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def plotted(page: Page, title: str) -> dict[str, list[float]]:
    """What the pointer reads off the plot whose label begins with `title`: the name of each series -> its values."""
    labels = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    place = next(number for number, label in enumerate(labels) if label.startswith(title))
    return {series["name"]: series["y"] for series in json.loads(page.scripts[place])["series"]}


def test_a_mixture_shows_its_experts_load_and_what_was_dropped(make_run):
    """A line for each expert with its share, and the share of tokens dropped."""
    page = page_of(with_experts(make_run(steps=20), [0.5, 0.3, 0.2], 0.125))
    assert "Experts Load of the experts" in page.text and "each of 3 experts" in page.text and "An even share is 0.333" in page.text
    assert plotted(page, "Load of the experts") == {"expert 1": [0.5] * 20, "expert 2": [0.3] * 20, "expert 3": [0.2] * 20}
    assert list(plotted(page, "Dropped tokens").values()) == [[0.125] * 20]


def test_of_many_experts_the_extremes_are_shown(make_run):
    page = page_of(with_experts(make_run(steps=3), [0.3, 0.01, *[0.0575] * 12]))
    assert plotted(page, "Load of the experts") == {"busiest": [0.3] * 3, "median": [0.0575] * 3, "idlest": [0.01] * 3}


def test_runs_without_experts_have_no_such_section(make_run):
    """Nor do dense runs beside a mixture get a plot; loads that are no numbers are left out."""
    dense, mixture = make_run(steps=20), with_experts(make_run("mixture", steps=20), [0.9, 0.1])
    for words in ("Load of the experts", "Dropped tokens", "Experts"):
        assert words not in page_of(dense).text
    both = page_of(dense, mixture)
    assert "Load of the experts, mixture" in both.text and "Load of the experts, demo" not in both.text
    assert "Experts" not in page_of(with_experts(make_run("odd", steps=3), [None, "x"])).text


def test_references_on_other_bytes_are_kept_apart(make_run):
    runs = [make_run("demo", steps=40), make_run("other", steps=40)]
    other = json.loads((runs[1] / "result.json").read_text())
    other["held_out"]["bits_per_byte"]["xz"] = 2.5
    (runs[1] / "result.json").write_text(json.dumps(other))
    page = page_of(*runs)
    assert "xz -9, demo" in page.text and "xz -9, other" in page.text


def test_runs_of_the_same_name_are_told_apart(make_run, tmp_path):
    runs = [make_run("demo", steps=5, within=tmp_path / place) for place in ("monday", "tuesday")]
    assert "monday/demo · tuesday/demo" in page_of(*runs).text


def test_the_old_page_stays_until_the_new_one_is_whole(make_run, monkeypatch):
    run = make_run(steps=40)
    out = report([run])
    out.write_text("old")

    def fail(*_):
        assert out.read_text() == "old"
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError):
            report([run])
    assert out.read_text() == "old" and not list(run.glob(".report*"))
    assert report([run]).stat().st_mode & 0o444 == 0o444 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_it_writes_where_it_is_told(make_run, tmp_path):
    out = tmp_path / "pages" / "page.html"
    assert report([make_run(steps=5)], out) == out and out.exists()


def test_what_cannot_be_done_is_refused(make_run, tmp_path):
    run = make_run(steps=5)
    with pytest.raises(UserError, match="no run"):
        report([])
    with pytest.raises(UserError, match="named twice"):
        report([run, run / "." / "../demo"])
    with pytest.raises(UserError, match="is a directory"):
        report([run], tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        report([run], run / "metrics.jsonl" / "page.html")
