"""The best of n answers by a score: what it is worth, and how far it is from the model that wrote them.

Sources: the estimator from one pool, Nakano et al. 2021 (WebGPT), appendix I, as Gao et al. 2022 use it; the KL, Stiennon et al. 2020,
appendix G.3, and that it is an upper bound where answers can come twice, Beirami et al. 2024. Numbers of the host, in float64.
"""

import numpy as np
from scipy.special import gammaln


def best_of_n(proxy_N: np.ndarray, gold_N: np.ndarray, n: int) -> float:
    """The expected gold score of the answer with the highest proxy score among n drawn from a pool of N without replacement.

    Unbiased for n fresh answers, as the pool's are: of all C(N, n) choices, the i-th lowest by proxy is the best of C(i - 1, n - 1). Equal
    proxies share their weight. Raises ValueError unless 1 <= n <= N.
    """
    proxy_N, gold_N, N = np.asarray(proxy_N, np.float64), np.asarray(gold_N, np.float64), len(proxy_N)
    if not 1 <= n <= N or gold_N.shape != proxy_N.shape:
        raise ValueError(f"the best of {n} from {N} answers with {gold_N.size} gold scores")
    order_N = np.argsort(proxy_N, kind="stable")
    _, group_N, count = np.unique(proxy_N[order_N], return_inverse=True, return_counts=True)
    weight_N = (np.bincount(group_N, _weights(N, n)) / count)[group_N]
    return float(weight_N @ gold_N[order_N])


def _weights(N: int, n: int) -> np.ndarray:
    """C(i - 1, n - 1) / C(N, n) for i = 1 .. N."""
    i = np.arange(n, N + 1, dtype=np.float64)
    log = gammaln(i) - gammaln(n) - gammaln(i - n + 1) - (gammaln(N + 1) - gammaln(n + 1) - gammaln(N - n + 1))
    return np.concatenate([np.zeros(n - 1), np.exp(log)])


def best_of_n_kl(n: float) -> float:
    """log n - (n - 1) / n, in nats: KL(best of n || the model) where no two answers are the same; else it is less."""
    return float(np.log(n) - (n - 1) / n)
