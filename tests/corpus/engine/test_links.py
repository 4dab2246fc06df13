"""WebText: linked pages stay, others go, and what is not WebText is still the crawl's."""

import json

import pytest

from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.recipe import CorpusRecipe, SourceConfig
from tenfold.errors import UserError
from tiny_corpus import prose

pytest.importorskip("daft")


def test_a_page_is_webtext_where_enough_karma_links_to_it(tmp_path):
    """Of three pages one is linked well, one with too little karma, one not at all; WebText has the first, the crawl the others."""
    pages = [{"text": prose(seed), "url": f"http://site.org/{seed}?utm_source=x"} for seed in range(3)]
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps(page) for page in pages))
    links = [{"url": "https://www.site.org/0", "score": 5}, {"url": "https://site.org/1", "score": 1}]
    common = {"is_self": False, "over_18": False, "created_utc": 1, "id": "x", "subreddit": "y", "title": "z"}
    (tmp_path / "links.jsonl").write_text("\n".join(json.dumps({**common, **link}) for link in links))
    crawl = str(tmp_path / "pages.jsonl")
    webtext = SourceConfig("webtext", "jsonl", crawl, links=str(tmp_path / "links.jsonl"))
    recipe = CorpusRecipe("x", sources=(webtext, SourceConfig("crawl", "jsonl", crawl)))
    built = build_documents(recipe, tmp_path / "out", Engine(), before_step="1b-boilerplate")
    index = built.documents.index
    assert {source: count["documents"] for source, count in index["kept"].items()} == {"webtext": 1, "crawl": 2}
    assert {reason: count["documents"] for reason, count in index["dropped"]["webtext"].items()} == {"not linked": 2}
    assert {reason: count["documents"] for reason, count in index["dropped"]["crawl"].items()} == {"exact duplicate": 1}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SourceConfig("a", "reddit", "a"), "gives links"),
        (SourceConfig("a", "nothing", "a"), "no kind of source"),
        (SourceConfig("a", "files", "a", rules=("gopher.nothing",)), "no rule"),
        (SourceConfig("a", "files", "a", quality=True), "quality.model is empty"),
        (SourceConfig("a", "files", "nowhere"), "no files"),
    ],
)
def test_what_a_stage_would_refuse_is_refused_at_once(source, says, tmp_path):
    with pytest.raises(UserError, match=says):
        build_documents(CorpusRecipe("x", sources=(source,)), tmp_path / "out", Engine())
    assert not (tmp_path / "out" / "manifest.json").exists()
