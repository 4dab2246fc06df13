"""benchmarks/codefusion_data.py: codes stay the same codes in other spelling, columns are marked where texts name them, variants agree."""

import random
import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("tree_sitter_bash")

from codefusion_data import marked, roomy, roomy_text  # noqa: E402
from codefusion_variants import varied  # noqa: E402

from tenfold.codefusion.bash import template_match
from tenfold.codefusion.languages import form

WORDS = ("archive", "reactor", "server")


def test_a_word_is_spelled_alike_in_text_and_code():
    assert roomy("cf", "AND(TextContains(Bull), Blanks())") == "AND( TextContains( Bull), Blanks())"
    assert roomy("cf", 'TextContains("a (b")') == 'TextContains("a (b")'  # a space would be another text
    assert roomy("python", "f(x[0], 'a b')") == "f ( x [ 0 ] , 'a b' )" and form("python", "f ( x [ 0 ] , 'a b' )") == "f(x[0], 'a b')"
    assert roomy("python", "for x in y:\n    pass") == "for x in y:\n    pass"
    assert roomy_text("cf", "that are 'red'") == "that are ' red '" and roomy_text("bash", "print  'a'") == "print  'a'"


def test_columns_are_marked_where_they_are_spoken_of():
    header = ["City", "Order Date", "Due Date", "Total"]
    assert marked("duplicate cities", header) == "duplicate cities c[0]"
    assert marked("due date before order date", header) == "due date c[2] before order date c[1]"
    assert marked("dates after the order", header) == "dates after the order c[1]"  # Date is the word of two
    assert marked("totally blank", header) == "totally blank"


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("bash", "find all *.xhtml files in /usr/share newer than 25 days", "find /usr/share -name '*.xhtml' -mtime -25"),
        ("python", "sort list `items` by column 'price'", "items.sort(key=lambda x: x['price'])"),
    ],
)
def test_a_variant_swaps_what_text_and_code_share(language, text, code):
    found = varied(language, {"text": text, "code": code}, random.Random(0), WORDS)
    assert found is not None and not {"items", "price", "xhtml", "25"} & set(re.findall(r"\w+", found["text"]))
    shared = [word for word in WORDS if word in found["code"]]
    assert shared and all(word in found["text"] for word in shared)
    if language == "bash":
        assert template_match(code, found["code"])


def test_what_cannot_vary_is_none():
    rng = random.Random(0)
    assert varied("bash", {"text": "list files", "code": "ls"}, rng, WORDS) is None
    assert varied("python", {"text": "call `len`", "code": "len(x)"}, rng, WORDS) is None  # a built-in name stays
    assert varied("bash", {"text": "print 'sort' twice", "code": "sort sort"}, rng, WORDS) is None  # another utility
