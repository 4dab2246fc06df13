"""Clusters of duplicates: connected components of the graph of duplicate pairs, in a few rounds of groupings.

Large-star and small-star (Kiveris et al. 2014, "Connected components in MapReduce and beyond", algorithm 3) in turn, until neither
moves an edge. Each looks at one vertex with its neighbours at a time, so it runs on any partition of the edges by their vertex; no
step gathers a component in one place:
  large-star   every neighbour that is greater than the vertex is tied to the least of the vertex and its neighbours
  small-star   the vertex and every neighbour that is less are tied to the least of those
What is left are stars: each vertex is tied to the least one of its component and to no other.

Names are uint64: the documents' ids read as numbers. `components` is the rounds with all edges in one partition.
"""

import numpy as np


def components(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(names uint64[V] of all documents in the edges uint64[E, 2], sorted; labels uint64[V]: the least name of each one's component)."""
    names = np.unique(edges)
    moved = len(edges)
    while moved:
        edges, moved = large_star(both_ways(edges))
        edges, also_moved = small_star(edges)
        moved += also_moved
    labels = names.copy()
    labels[np.searchsorted(names, edges[:, 0])] = edges[:, 1]
    return names, labels


def both_ways(edges: np.ndarray) -> np.ndarray:
    """uint64[2E, 2]: every edge from either end."""
    return np.concatenate([edges, edges[:, ::-1]])


def large_star(edges: np.ndarray) -> tuple[np.ndarray, int]:
    """(edges uint64[E', 2] from the greater end to the less; how many of them are new), of edges (vertex, neighbour) that hold all
    neighbours of each vertex in them."""
    vertex, neighbour, least = _stars(edges)
    least = np.minimum(least, vertex)
    greater = neighbour > vertex
    return np.stack([neighbour[greater], least[greater]], 1), int((least[greater] != vertex[greater]).sum())


def small_star(edges: np.ndarray) -> tuple[np.ndarray, int]:
    """(edges uint64[E', 2] from the greater end to the less; how many of them are new), of edges from the greater end to the less that
    hold all of those neighbours of each vertex in them."""
    vertex, neighbour, least = _stars(edges)
    moved = neighbour != least
    first = np.flatnonzero(~moved)
    ties = np.stack([np.append(vertex[first], neighbour[moved]), np.append(least[first], least[moved])], 1)
    return ties, int(moved.sum())


def _stars(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint64[E'] vertex and neighbour of each different edge, without those from a vertex to itself, and the vertex's least neighbour."""
    edges = edges[edges[:, 0] != edges[:, 1]]
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    if not len(edges):
        return edges[:, 0], edges[:, 1], edges[:, 1]
    edges = edges[np.append(True, (edges[1:] != edges[:-1]).any(1))]
    first = np.flatnonzero(np.append(True, edges[1:, 0] != edges[:-1, 0]))
    return edges[:, 0], edges[:, 1], np.repeat(edges[first, 1], np.diff(np.append(first, len(edges))))
