"""Components against union-find, in few rounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.corpus.components import both_ways, components, large_star, small_star

edge_lists = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=40)


def union_find(edges: list[tuple[int, int]]) -> dict[int, int]:
    parent = {vertex: vertex for edge in edges for vertex in edge}

    def root(vertex: int) -> int:
        while parent[vertex] != vertex:
            vertex = parent[vertex]
        return vertex

    for u, v in edges:
        low, high = sorted((root(u), root(v)))
        parent[high] = low
    return {vertex: root(vertex) for vertex in parent}


def as_edges(edges: list[tuple[int, int]]) -> np.ndarray:
    return np.array(edges, np.uint64).reshape(-1, 2)


@given(edge_lists)
def test_components_are_those_of_union_find(edges):
    names, labels = components(as_edges(edges))
    assert dict(zip(names.tolist(), labels.tolist(), strict=True)) == union_find(edges)


def rounds(edges: np.ndarray) -> int:
    taken, moved = 0, 1
    while moved:
        edges, moved = large_star(both_ways(edges))
        edges, also_moved = small_star(edges)
        moved += also_moved
        taken += 1
    return taken


def test_few_rounds_for_long_paths_and_random_graphs():
    """A path of 20,000 and a random graph are done in a handful of rounds, for the edges to be written a handful of times."""
    rng = np.random.default_rng(0)
    path = np.stack([np.arange(19_999), np.arange(1, 20_000)], 1).astype(np.uint64)
    shuffled = rng.permutation(20_000).astype(np.uint64)[path.astype(np.int64)]
    scattered = rng.integers(0, 20_000, (20_000, 2)).astype(np.uint64)
    assert rounds(path) <= 16 and rounds(shuffled) <= 15 and rounds(scattered) <= 6
    assert len(np.unique(components(shuffled)[1])) == 1


def test_nothing_has_no_components():
    assert [len(part) for part in components(as_edges([]))] == [0, 0]
