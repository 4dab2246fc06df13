"""What comes back on page after page of a site goes; everything else stays as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.boilerplate import Boilerplate, group_of, is_boilerplate, line_key, line_keys, without_lines
from tenfold.errors import UserError


def test_a_menu_goes_and_the_page_stays():
    pages = [f"Home | About\n\nPage {n} says something.\n  Home | About  \nend {n % 3}" for n in range(30)]
    keys, documents = np.unique(np.concatenate(line_keys(pages)), return_counts=True)
    found = set(keys[is_boilerplate(Boilerplate(documents=20), documents, np.full(len(keys), 30))].tolist())
    assert found == {line_key("Home | About")}
    assert without_lines(pages, [found] * 30) == [f"\nPage {n} says something.\nend {n % 3}" for n in range(30)]


def test_both_halves_of_the_rule_must_hold():
    counts, group = np.array([9, 10, 10, 500]), np.array([9, 100, 101, 10_000])
    assert is_boilerplate(Boilerplate(documents=10, share=0.1), counts, group).tolist() == [False, True, False, False]


@given(st.lists(st.text(st.sampled_from(" a\n\r\u2028"))))
def test_without_keys_nothing_changes(texts):
    assert without_lines(texts, [set()] * len(texts)) == texts
    assert without_lines(texts, [{1}] * len(texts)) == texts


def test_groups_are_hosts_or_sources():
    assert group_of("https://www.example.org:80/a?b", "crawl") == group_of("http://Example.org", "x") == "example.org"
    assert group_of("", "books") == group_of("no address", "books") == group_of("http://[half", "books") == "books"


@pytest.mark.parametrize("wrong", [{"documents": 1}, {"share": 1.5}])
def test_wrong_rules_are_refused(wrong):
    with pytest.raises(UserError, match=f"boilerplate.{next(iter(wrong))}"):
        Boilerplate(**wrong)
