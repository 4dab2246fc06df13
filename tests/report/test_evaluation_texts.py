"""Whatever texts hold, the pages show it and run none of it."""

from tenfold.report.contamination import contamination_page
from tenfold.report.samples import samples_page

EVIL = "<script>alert(1)</script> & <b>"
ESTIMATE = {"value": 0.5, "error": 0.1, "low": 0.4, "high": 0.6}


def overlap(words: int) -> dict:
    sides = {"item": [EVIL, f"{EVIL} {words}", EVIL], "training": [EVIL, EVIL, EVIL]}
    return {"document": "0" * 16, "source": EVIL, "url": EVIL, "file": EVIL, "words": words, **sides}


def row(number: int, words: int) -> dict:
    about = {"task": EVIL, "id": f"{EVIL}{number}", "dirty": True, "n": 8, "whole": number == 0, "grams": 9, "dirty_grams": 3}
    return {**about, "documents": 2, "overlaps": [overlap(words)]}


def test_items_beside_training_text(tmp_path):
    """The shortest overlaps come first, then the longest; those between are counted."""
    task = {"task": EVIL, "n": 8, "items": 50, "dirty": 40, "clean": 10, "clean_share": 0.2, "whole": 1}
    corpus = {"corpus": EVIL, "which": "seen", "stage": "5-fuzzy", "held_out": 0.05, "documents": 1234, "letters": 5_000_000}
    rows = [row(number, 100 + number) for number in range(40)]
    page = contamination_page(tmp_path / "page.html", {"corpus": corpus, "tasks": [task], "scores": []}, rows).read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "1,234" in page and "20.0%" in page and "Give results of" in page and "1 item has fewer than N words" in page
    shown = [number for number in range(40) if f"&lt;b&gt; {100 + number}<" in page]
    assert shown == [*range(8), *range(32, 40)] and "the other 24 are in items.jsonl" in page


def test_a_corpus_without_any_overlap(tmp_path):
    task = {"task": "t", "n": 8, "items": 5, "dirty": 0, "clean": 5, "clean_share": 1.0, "whole": 0}
    corpus = {"corpus": "c", "which": "before", "stage": "5-fuzzy", "held_out": 0.05, "documents": 3, "letters": 50}
    page = contamination_page(tmp_path / "page.html", {"corpus": corpus, "tasks": [task], "scores": []}, []).read_text()
    assert "No item shares its words" in page and "had evaluation texts not been cut out" in page


def test_samples_of_any_text(tmp_path):
    column = {
        "name": EVIL,
        "texts": 2,
        "of": 3,
        "repeated": {str(n): ESTIMATE for n in range(1, 5)},
        "repeated_sentences": ESTIMATE,
        "compressed": ESTIMATE,
        "distance": [ESTIMATE] * 9,
        "coherence": [ESTIMATE] * 3,
        "distinct": {str(n): 0.5 for n in range(1, 5)},
        "new": [ESTIMATE] * 16,
        "copied": ESTIMATE,
        "model": {name: [ESTIMATE] * 4 for name in ("given", "alone", "gain")},
    }
    result = {"words": 200, "columns": [column], "corpus": {"corpus": EVIL}}
    copies = [{"column": EVIL, "number": 0, **overlap(5), "text": [EVIL, EVIL, EVIL]}]
    page = samples_page(tmp_path / "page.html", result, copies, {EVIL: [EVIL]}).read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "longest copied run" in page and "New runs of words" in page and "What the text before is worth to the model" in page
    short = {**column, "coherence": []}
    for name in ("new", "copied", "model"):
        short.pop(name)
    page = samples_page(tmp_path / "page.html", {"words": 30, "columns": [short]}, [], {}).read_text()
    assert "longest copied run" not in page and "Holding to the beginning" not in page and "As the model reads it" not in page
