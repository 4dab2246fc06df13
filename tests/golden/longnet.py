"""LongNet's attention in NumPy, from the paper's equations (Ding et al. 2023), with plain loops over everything and in float64.

q, k, v: [B, T, H, K]; `documents` int[B, T] or None. Positions count from 0; the last segment of a branch may be short.
"""

import numpy as np


def taken(t: int, head: int, w: int, r: int) -> bool:
    """Whether a head takes a position in the branch (w, r): equations 13 to 15."""
    return (t % w) % r == head % r


def keys(t: int, head: int, w: int, r: int, T: int, causal: bool, document=None) -> list[int]:
    """The positions that a query sees in a branch; none if the head does not take the query itself."""
    if not taken(t, head, w, r):
        return []
    seen = [s for s in range(T) if s // w == t // w and taken(s, head, w, r) and (s <= t or not causal)]
    return [s for s in seen if document is None or document[s] == document[t]]


def branch(q, k, v, w: int, r: int, causal=True, documents=None):
    """One branch's output [B, T, H, K], 0 where nothing is taken (equations 6 to 8), and its softmax denominators [B, T, H]."""
    B, T, H, K = q.shape
    out, denominator = np.zeros(q.shape), np.zeros((B, T, H))
    for b in range(B):
        for t in range(T):
            for h in range(H):
                for s in keys(t, h, w, r, T, causal, None if documents is None else documents[b]):
                    weight = np.exp(q[b, t, h] @ k[b, s, h] / np.sqrt(K))
                    denominator[b, t, h] += weight
                    out[b, t, h] += weight * v[b, s, h]
                if denominator[b, t, h] > 0:
                    out[b, t, h] /= denominator[b, t, h]
    return out, denominator


def longnet(q, k, v, kind, causal=True, documents=None):
    """The mixture of the branches by their denominators: equations 9 and 10."""
    parts = [branch(q, k, v, w, r, causal, documents) for w, r in zip(kind.segments, kind.dilations, strict=True)]
    total = sum(denominator for _, denominator in parts)
    total = np.where(total > 0, total, 1)
    return sum(denominator[..., None] / total[..., None] * out for out, denominator in parts)


def longnet_gradients(q, k, v, g, kind, causal=True, documents=None):
    """The gradients of sum(g * longnet(q, k, v)), by the chain rule through each weight of the one softmax over all branches' keys."""
    B, T, H, K = q.shape
    out = longnet(q, k, v, kind, causal, documents)
    dq, dk, dv = np.zeros(q.shape), np.zeros(q.shape), np.zeros(q.shape)
    for b in range(B):
        for t in range(T):
            for h in range(H):
                document = None if documents is None else documents[b]
                pairs = zip(kind.segments, kind.dilations, strict=True)
                seen = [s for w, r in pairs for s in keys(t, h, w, r, T, causal, document)]
                weights = [np.exp(q[b, t, h] @ k[b, s, h] / np.sqrt(K)) for s in seen]
                for s, weight in zip(seen, weights, strict=True):
                    share = weight / sum(weights)
                    dscore = share * (g[b, t, h] @ (v[b, s, h] - out[b, t, h])) / np.sqrt(K)
                    dv[b, s, h] += share * g[b, t, h]
                    dq[b, t, h] += dscore * k[b, s, h]
                    dk[b, s, h] += dscore * q[b, t, h]
    return dq, dk, dv
