"""Trained models to be scored beside each other: opened, checked, and called by names that tell them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from tenfold.codefusion.generate import FusionModel, load_fusion
from tenfold.codefusion.language_model import is_language_model, open_language_model
from tenfold.codefusion.model import fusion_count, layer_count
from tenfold.codefusion.run import FusionRun, read_fusion_run, trained_on
from tenfold.codefusion.settings import Sampling
from tenfold.codefusion.snippets import Writer
from tenfold.corpus.files import fingerprint
from tenfold.errors import UserError
from tenfold.evaluate.run import digests
from tenfold.sharding.axes import make_mesh
from tenfold.sharding.config import MeshConfig

BASELINE, TOGETHER = "retrieval", "together"
"""Names in the table that are no run's."""


@dataclass(frozen=True)
class Candidate:
    """A model to be scored."""

    name: str
    model: Writer
    about: dict[str, Any]
    """Who it is: run, kind, step, size, fingerprint, and the files that it was trained on."""

    def settings(self, how: Sampling) -> Sampling:
        """Those of the settings that its kind has. Raises UserError for more steps than a CodeFusion has."""
        own = how.of_kind(self.model.kind, self.model.all_steps)
        own.check(self.model.kind, self.model.all_steps)
        return own


def open_candidates(runs: Sequence[str]) -> list[Candidate]:
    """The models of these runs, and language models. Raises UserError for a run that is none, is named twice, or has learned no pairs."""
    opened = [Path(run).expanduser() for run in runs]
    places = [path.resolve() for path in opened]
    if twice := [path for path, place in zip(opened, places, strict=True) if places.count(place) > 1]:
        raise UserError(f"{twice[0]} is named twice.\n  Name each run once.")
    own = {path: read_fusion_run(path) for path in opened if not is_language_model(path)}
    for path, run in own.items():
        if "pairs" not in run.recipe.train.tasks:
            tasks = " ".join(run.recipe.train.tasks)
            raise UserError(
                f"{path} was trained on code alone (train.tasks {tasks}), so it cannot be asked for code by a text.\n"
                f"  Train it on pairs first: tenfold codefusion finetune RECIPE --from {path} --data PAIRS"
            )
    models = (_open(own[path]) if path in own else open_language_model(path) for path in opened)
    return [Candidate(name, *found) for name, found in zip(told_apart(places), models, strict=True)]


def load_writer(path: str) -> Writer:
    """A trained run, or a language model, on this process's first device. Raises UserError where there is none."""
    place = Path(path).expanduser()
    return open_language_model(place)[0] if is_language_model(place) else load_fusion(path)


def _open(run: FusionRun) -> tuple[FusionModel, dict[str, Any]]:
    params, step = run.params(make_mesh(MeshConfig(), jax.local_devices()[:1]))
    model, config = FusionModel(run.recipe.model, params, run.tokenizer(), run.words(), run.reader()), run.recipe.model
    about = {
        "run": str(run.path),
        "kind": config.kind,
        "step": step,
        "parameters": fusion_count(config),
        "without_tables": layer_count(config),
        "fingerprint": fingerprint(digests(params), repr(config)),
        "tokenizer": model.tokenizer.fingerprint,
        "reader": None if model.reader is None else {"path": run.recipe.reader.path, "fingerprint": model.reader.fingerprint},
        "words": None if model.words is None else fingerprint(sorted(model.words)),
        "trained_on": trained_on(run.path, read_fusion_run),
    }
    return model, about


def told_apart(places: Sequence[Path]) -> list[str]:
    """As much of the end of each path as tells it from the others and from the names that are no run's."""
    names, depth = [place.name for place in places], 1
    while len({*names, BASELINE, TOGETHER}) < len(names) + 2:
        depth += 1
        names = ["/".join(place.parts[-depth:]) for place in places]
    return names
