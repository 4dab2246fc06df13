"""The quality classifier of GPT-3's appendix A: logistic regression on hashed terms, and a draw that keeps some of what scores low.

The paper keeps a document where `np.random.pareto(9) > 1 - score`. NumPy's is the Lomax distribution, so a document of score s stays
with chance (2 - s)^-9: all of score 1, 0.2% of score 0. The draw here is a function of the document's id and a seed, so it is the
same in any order, on any machine and after any restart.

Letters: N documents, F buckets. A document's vector is its term counts divided by their Euclidean length, so that a long document
does not score high or low for being long.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tenfold.corpus.documents import is_held_out
from tenfold.corpus.features import Features, Hashing, features, mixed
from tenfold.corpus.files import replacing
from tenfold.errors import UserError

VERSION = 1
ALPHA = 9.0


@dataclass(frozen=True)
class Classifier:
    """Weights of the terms; `weights @ vector + bias` is the log-odds that a document is like the curated ones."""

    weights: np.ndarray
    """float32[F]"""
    bias: float
    hashing: Hashing


class Roc(NamedTuple):
    """How well scores part the good from the rest, at every threshold from high to low."""

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray
    area: float
    """The chance that a good document scores over a bad one."""


@dataclass(frozen=True)
class Fit:
    """How a classifier is fitted."""

    hashing: Hashing = Hashing()
    l2: float = 1e-6
    """Weight of half the squared weights, beside the mean loss of a document."""
    steps: int = 200

    def __post_init__(self):
        if self.l2 <= 0:
            raise UserError(f"quality.l2 is {self.l2}: without it the weights of separable classes grow for ever.\n  Try 1e-6.")


def fit(found: Features, good: np.ndarray, config: Fit | None = None) -> Classifier:
    """Logistic regression by L-BFGS: `good` bool[N] says which rows are curated. Both classes weigh the same in total.

    Raises UserError where one class is empty.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_array

    config = config or Fit()
    positives, negatives = int(good.sum()), int((~good).sum())
    if not positives or not negatives:
        raise UserError(f"Quality needs documents of both kinds, but has {positives} curated and {negatives} raw ones.\n  Give both.")
    X_NF = csr_array((_unit(found), found.buckets.astype(np.int32), found.starts), shape=(len(good), config.hashing.buckets))
    X_FN = csr_array(X_NF.T)
    sign = np.where(good, 1.0, -1.0)
    share = np.where(good, 0.5 / positives, 0.5 / negatives)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (X_NF @ w[:-1] + w[-1])
        slope = -sign * share * _sigmoid(-margin)
        gradient = np.append(X_FN @ slope + config.l2 * w[:-1], slope.sum())
        return share @ np.logaddexp(0, -margin) + config.l2 / 2 * (w[:-1] @ w[:-1]), gradient

    best = minimize(loss, np.zeros(config.hashing.buckets + 1), jac=True, method="L-BFGS-B", options={"maxiter": config.steps}).x
    return Classifier(best[:-1].astype(np.float32), float(best[-1]), config.hashing)


def _unit(found: Features) -> np.ndarray:
    lengths = np.sqrt(_sums(found.counts**2, found.starts))
    return found.counts / np.repeat(lengths, np.diff(found.starts))


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """float64[N]: the sum of each document's values; the same to the last bit in whatever batch the document is."""
    full = np.flatnonzero(np.diff(starts))
    sums = np.zeros(len(starts) - 1)
    if len(full):
        sums[full] = np.add.reduceat(values, starts[full])
    return sums


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def scores(classifier: Classifier, found: Features) -> np.ndarray:
    """float64[N] in [0, 1]: how like the curated documents each row is. Rows without a word get the bias's score."""
    return _sigmoid(_sums(classifier.weights[found.buckets] * _unit(found), found.starts) + classifier.bias)


def score_texts(classifier: Classifier, texts: list[str]) -> np.ndarray:
    """float64[N]: `scores` of the texts' own features."""
    return scores(classifier, features(texts, classifier.hashing))


def draws(ids: list[str], seed: int = 0) -> np.ndarray:
    """float64[N] in (0, 1), uniform, each a function of the document's id (hexadecimal digits) and the seed alone."""
    numbers = np.fromiter((int(id[:16], 16) for id in ids), np.uint64, len(ids))
    salt = mixed(np.array([seed % 2**64], np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    return ((mixed(numbers ^ salt) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def keep_chance(scores: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """float64[N]: the chance that a Lomax(alpha) draw is over 1 - score, (2 - score)^-alpha."""
    return (2.0 - scores) ** -alpha


def keep(ids: list[str], scores: np.ndarray, alpha: float = ALPHA, seed: int = 0) -> np.ndarray:
    """bool[N]: which documents stay. A higher score never loses a document that a lower one kept."""
    return draws(ids, seed) < keep_chance(scores, alpha)


def held_out(ids: list[str], fraction: float = 0.1) -> np.ndarray:
    """bool[N]: which documents to measure the classifier on instead of fitting it, by id."""
    return np.array([is_held_out(id, fraction) for id in ids], bool)


def roc(scores: np.ndarray, good: np.ndarray) -> Roc:
    """The receiver operating characteristic. Equal scores are one step. Raises UserError where one class is empty."""
    positives, negatives = int(good.sum()), int((~good).sum())
    if not positives or not negatives:
        raise UserError(f"A ROC needs documents of both kinds, but has {positives} curated and {negatives} raw ones.\n  Give both.")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.diff(ordered, append=-np.inf))
    true = np.concatenate([[0], np.cumsum(good[order])[last]]) / positives
    false = np.concatenate([[0], np.cumsum(~good[order])[last]]) / negatives
    return Roc(false, true, np.concatenate([[np.inf], ordered[last]]), float(np.trapezoid(true, false)))


def borderline(scores: np.ndarray, ids: list[str], count: int = 50) -> np.ndarray:
    """int[count]: the rows whose scores are nearest one half, highest score first: what a person should read before trusting it."""
    nearest = np.lexsort((np.array(ids), np.abs(scores - 0.5)))[:count]
    return nearest[np.lexsort((nearest, -scores[nearest]))]


def save(classifier: Classifier, path: Path) -> None:
    """Writes an .npz, whole or not at all; the same classifier gives the same arrays."""
    about = {"version": VERSION, "kind": "tenfold quality classifier", "hashing": asdict(classifier.hashing), "bias": classifier.bias}
    with replacing(path) as file:
        np.savez_compressed(file, weights=classifier.weights, about=np.array(json.dumps(about)))


def load(path: Path) -> Classifier:
    """The classifier of a file that `save` wrote. Raises UserError where there is none, or it is another thing or damaged."""
    mend = "Make it with `tenfold corpus fit-quality`."
    if not path.is_file():
        raise UserError(f"There is no quality classifier at {path}.\n  {mend}")
    try:
        with np.load(path, allow_pickle=False) as file:
            weights, about = file["weights"], json.loads(str(file["about"]))
        hashing, version, bias = Hashing(**about["hashing"]), about["version"], float(about["bias"])
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own for bytes that are not theirs
        raise UserError(f"{path} is no quality classifier, or is damaged ({error}).\n  {mend}") from error
    if version != VERSION:
        raise UserError(f"{path} is a quality classifier of version {version}, and this release reads {VERSION}.\n  {mend}")
    if weights.shape != (hashing.buckets,) or not np.isfinite(weights).all() or not np.isfinite(bias):
        raise UserError(f"{path} has weights {list(weights.shape)} for {hashing.buckets} buckets, or some that are no numbers.\n  {mend}")
    return Classifier(weights.astype(np.float32), bias, hashing)
