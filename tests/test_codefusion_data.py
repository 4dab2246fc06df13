"""benchmarks/codefusion_data.py: codes stay the same codes in other spelling, columns are marked where texts name them, variants agree."""

import gzip
import json
import random
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import codefusion_data  # noqa: E402
from codefusion_data import described, first_and_second, marked, roomy, roomy_text  # noqa: E402
from codefusion_variants import varied  # noqa: E402

from tenfold.codefusion.data import Example  # noqa: E402
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


def test_a_rules_text_names_the_tables_columns_and_what_they_hold():
    data = (("Name", "Score", "Born", "Note"), ("a", 3.0, "2020-01-31", None), ("b", "4", "2021-02-01", None))
    item = Example("scores above 5", "GreaterThan(c[1], 5)", data=data)
    assert described(item) == "scores c[1] above 5 | c[0] text Name | c[1] number Score | c[2] date Born | c[3] Note"
    assert described(item, with_kinds=False) == "scores c[1] above 5 | c[0] Name | c[1] Score | c[2] Born | c[3] Note"
    assert described(Example("above 5", "x", data=(("Index", "Value", "Point"),))) == "above 5"


def test_a_variant_swaps_what_text_and_code_share():
    line = {"text": "sort list `items` by column 'price'", "code": "items.sort(key=lambda x: x['price'])"}
    found = varied(line, random.Random(0), WORDS)
    assert found is not None
    list_name, column = re.findall("`(.*)`|'(.*)'", found["text"])
    assert {list_name[0], column[1]} <= set(WORDS)
    assert found["code"] == f"{list_name[0]}.sort(key=lambda x: x['{column[1]}'])"


def test_what_cannot_vary_is_none():
    rng = random.Random(0)
    assert varied({"text": "sort a list", "code": "x.sort()"}, rng, WORDS) is None
    assert varied({"text": "call `len`", "code": "len(x)"}, rng, WORDS) is None  # a built-in name stays
    assert varied({"text": "print `x y`", "code": "print(x y)"}, rng, WORDS) is None  # no code
    assert varied({"text": "write `none`", "code": "none"}, rng, ("None",)) is None  # a name is none after


def test_nothing_made_has_text_or_code_of_a_test_item(tmp_path, monkeypatch):
    monkeypatch.setattr(codefusion_data, "MADE", 10_000)
    monkeypatch.setattr(codefusion_data, "MADE_AGAIN", 1000)
    lines = {"cf_train": [("Color the cells above 5", "GreaterThan(5)")], "cf_test": [("Mark those below 3", "lessThan( 3 )")]}
    for name, pairs in lines.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in pairs))
    pages = {part: {"ls": {"e": [["List the files", "ls"]]}} for part in ("common", "linux", "osx")}
    (tmp_path / "tldr.json.gz").write_bytes(gzip.compress(json.dumps(pages).encode()))
    test = [{"text": text, "code": code} for text, code in lines["cf_test"]]
    first, second = first_and_second("cf", tmp_path, tmp_path / "tldr.json.gz", test)
    assert len(first) > 5000 and second[0] == {"text": "Color the cells above 5", "code": "GreaterThan(5)"}
    assert "LessThan(3)" not in {line["code"] for line in first + second} and "LessThan(4)" in {line["code"] for line in first + second}
