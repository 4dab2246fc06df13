"""The best of n answers by a score: what it is worth, and how far it is from the model that wrote them.

Sources: the estimator from one pool, Nakano et al. 2021 (WebGPT), appendix I, as Gao et al. 2022 use it; the KL, Stiennon et al. 2020,
appendix G.3, and that it is an upper bound where answers can come twice, Beirami et al. 2024. Numbers of the host, in float64.

Shapes: P prompts with a pool of N answers each, K values of n.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln


def best_of_n(proxy_N: np.ndarray, gold_N: np.ndarray, n: int) -> float:
    """The expected gold score of the answer with the highest proxy score among n drawn from a pool of N without replacement.

    Unbiased for n fresh answers, as the pool's are: of all C(N, n) choices, the i-th lowest by proxy is the best of C(i - 1, n - 1). Equal
    proxies share their weight. Raises ValueError unless 1 <= n <= N.
    """
    return float(best_of_each([proxy_N], [gold_N], [n])[0, 0])


def best_of_each(proxy_PN: np.ndarray | Sequence, gold_PN: np.ndarray | Sequence, ns: Sequence[int]) -> np.ndarray:
    """f64[P, K]: `best_of_n` of each prompt's own pool for every n. With the proxy as its own gold: what the proxy thinks it has won.

    Raises ValueError unless 1 <= n <= N for all of them.
    """
    proxy_PN, gold_PN = np.asarray(proxy_PN, np.float64), np.asarray(gold_PN, np.float64)
    N = proxy_PN.shape[-1]
    if gold_PN.shape != proxy_PN.shape or not all(1 <= n <= N for n in ns):
        raise ValueError(f"the best of {', '.join(map(str, ns))} from {N} answers with {gold_PN.shape[-1]} gold scores")
    by_rank_KN = [_weights(N, n) for n in ns]
    return np.stack([_each(proxy_N, gold_N, by_rank_KN) for proxy_N, gold_N in zip(proxy_PN, gold_PN, strict=True)])


def _each(proxy_N: np.ndarray, gold_N: np.ndarray, by_rank_KN: list[np.ndarray]) -> np.ndarray:
    order_N = np.argsort(proxy_N, kind="stable")
    _, group_N, count = np.unique(proxy_N[order_N], return_inverse=True, return_counts=True)
    return np.array([(np.bincount(group_N, weight_N) / count)[group_N] @ gold_N[order_N] for weight_N in by_rank_KN])


def _weights(N: int, n: int) -> np.ndarray:
    """C(i - 1, n - 1) / C(N, n) for i = 1 .. N."""
    i = np.arange(n, N + 1, dtype=np.float64)
    log = gammaln(i) - gammaln(n) - gammaln(i - n + 1) - (gammaln(N + 1) - gammaln(n + 1) - gammaln(N - n + 1))
    return np.concatenate([np.zeros(n - 1), np.exp(log)])


def best_of_n_kl(n: float) -> float:
    """log n - (n - 1) / n, in nats: KL(best of n || the model) where no two answers are the same; else it is less."""
    return float(np.log(n) - (n - 1) / n)
