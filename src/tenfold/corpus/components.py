"""Clusters of duplicates: connected components of the graph of duplicate pairs, in a few rounds of joins and groupings.

Each round, over a table of edges (u, v):
  hook      parent(u) = the least of u and its neighbours            group both directions of the edges by u, take the minimum
  jump      parent(u) = parent(parent(u)), until nothing changes     join the parents with themselves
  contract  edges between parents, each once, without loops          join the edges with the parents twice, drop duplicates
and every document follows its component's new name (join). It ends when no edge is left. Each step looks at one key at a time, so
it runs on any partition of the tables by that key, and the tables shrink: names are hashes, in no order, so a vertex is the least
among its neighbours, and stays, with chance of at most one half. No step gathers a component in one place.

`components` here is the same rounds on arrays. Names are uint64: the documents' ids read as numbers.
"""

import numpy as np


def components(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(names uint64[V] of all documents in the edges uint64[E, 2], sorted; labels uint64[V]: the least name of each one's component)."""
    names = np.unique(edges)
    labels = names
    edges = contract(edges, names, names)
    while len(edges):
        vertices, parents = jump(*hook(edges))
        labels = follow(labels, vertices, parents)
        edges = contract(edges, vertices, parents)
    return names, labels


def hook(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(vertices uint64[V], sorted; parents uint64[V]): each vertex's parent is the least of itself and its neighbours."""
    vertices, number = np.unique(edges.ravel(), return_inverse=True)
    number = number.reshape(edges.shape)
    parents = vertices.copy()
    np.minimum.at(parents, number[:, 0], edges[:, 1])
    np.minimum.at(parents, number[:, 1], edges[:, 0])
    return vertices, parents


def jump(vertices: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same vertices, each with the last of its chain of parents; as many joins as the logarithm of the longest chain."""
    while True:
        grandparents = follow(parents, vertices, parents)
        if (grandparents == parents).all():
            return vertices, parents
        parents = grandparents


def follow(names: np.ndarray, vertices: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Each name's parent; one that is no vertex keeps its own. Any shape."""
    if not len(vertices):
        return names
    place = np.minimum(np.searchsorted(vertices, names), len(vertices) - 1)
    return np.where(vertices[place] == names, parents[place], names)


def contract(edges: np.ndarray, vertices: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """uint64[E', 2]: the edges between parents, the lesser end first, each once, without those from a vertex to itself."""
    ends = np.sort(follow(edges, vertices, parents), axis=1)
    ends = ends[ends[:, 0] != ends[:, 1]]
    return np.unique(ends, axis=0) if len(ends) else ends
