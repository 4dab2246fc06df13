"""The output of `tenfold corpus build` where a recipe asks for data: its sources, each with its share of the rows."""

import json
from dataclasses import replace
from pathlib import Path

from tenfold.errors import UserError
from tenfold.tokens.config import DataConfig

MIXTURE = "mixture.json"


def with_corpora(data: DataConfig) -> DataConfig:
    """The same data with each corpus in its paths replaced by its sources; a path's weight is shared among them.

    Raises UserError where a corpus is mixed with other paths without weights, or its mixture.json is damaged.
    """
    mixtures = {path: _shares(Path(path).expanduser() / MIXTURE) for path in data.paths if (Path(path).expanduser() / MIXTURE).is_file()}
    if not mixtures:
        return data
    if len(data.paths) > 1 and not data.weights:
        raise UserError(
            f"data.paths mixes the corpus {next(iter(mixtures))!r} with other paths, but data.weights is empty.\n"
            "  Give each path a weight: a corpus shares its own among its sources."
        )
    paths: list[str] = []
    weights: list[float] = []
    for path, weight in zip(data.paths, data.weights or (1.0,), strict=True):
        for source, share in mixtures.get(path, {"": 1.0}).items():
            paths.append(str(Path(path) / source) if source else path)
            weights.append(weight * share)
    return replace(data, paths=tuple(paths), weights=tuple(weights))


def _shares(path: Path) -> dict[str, float]:
    """{directory of the source's shards inside the corpus: its share of the rows}"""
    try:
        sources = json.loads(path.read_text("utf-8"))["sources"]
        return {str(source["shards"]): float(source["weight"]) for source in sources if source["tokens"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}).\n  Say the same `tenfold corpus build` again.") from error
