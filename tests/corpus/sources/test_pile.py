"""The Pile's lines as published."""

import json

import zstandard

from tenfold.corpus.record import Limits, Record
from tenfold.corpus.sources.pile import COMPONENTS
from tenfold.corpus.sources.registry import read


def test_every_component_is_known_and_no_other(tmp_path):
    items = [{"text": f"text {n}", "meta": {"pile_set_name": name}} for n, name in enumerate([*COMPONENTS, "Pile-XX"])]
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(zstandard.compress(b"\n".join(json.dumps(item).encode() for item in [*items, {"text": "x"}, {"meta": {}}])))
    *good, unknown, no_meta, no_text = read("pile", str(path), "pile", Limits(), "00.jsonl.zst")
    assert len(good) == len(set(COMPONENTS)) == 22 and all(isinstance(each, Record) for each in good)
    assert [json.loads(each.meta)["component"] for each in good] == list(COMPONENTS)
    assert (unknown.offset, unknown.reason, no_meta.reason, no_text.reason) == (23, "unknown component", "bad line", "bad line")
