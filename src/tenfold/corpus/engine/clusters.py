"""Connected components of the pairs of duplicates, as joins and groupings: `corpus.components` tells how, and does the same on arrays.

No step gathers a component in one place, and each looks at one key at a time: the engine spreads it over its workers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import daft


def clusters(edges: "daft.DataFrame") -> "daft.DataFrame":
    """(name, label) of every end of the edges (a, b): the least name of its component."""
    import daft

    col = daft.col
    edges = edges.select("a", "b").distinct().collect()
    labels = _both(edges).select(col("a").alias("name")).distinct().with_column("label", col("name")).collect()
    while edges.count_rows():
        parents = _jump(_hook(edges))
        labels = _follow(labels, "label", parents).collect()
        edges = _contract(edges, parents).collect()
    return labels


def _both(edges: "daft.DataFrame") -> "daft.DataFrame":
    import daft

    return edges.concat(edges.select(daft.col("b").alias("a"), daft.col("a").alias("b")))


def _hook(edges: "daft.DataFrame") -> "daft.DataFrame":
    """(vertex, parent): the least of each vertex and its neighbours."""
    import daft
    from daft.functions import when

    a, b = daft.col("a"), daft.col("b")
    least = _both(edges).groupby("a").agg(b.min())
    return least.select(a.alias("vertex"), when(a < b, a).otherwise(b).alias("parent")).collect()


def _jump(parents: "daft.DataFrame") -> "daft.DataFrame":
    """The same vertices, each with the last of its chain of parents."""
    import daft

    while True:
        again = _follow(parents.with_column("before", daft.col("parent")), "parent", parents).collect()
        if not again.where(daft.col("before") != daft.col("parent")).count_rows():
            return parents
        parents = again.exclude("before")


def _follow(frame: "daft.DataFrame", column: str, parents: "daft.DataFrame") -> "daft.DataFrame":
    """The frame with each name of a column replaced by its parent; one that has none keeps its own."""
    import daft
    from daft.functions import coalesce

    steps = parents.select(daft.col("vertex").alias("_from"), daft.col("parent").alias("_to"))
    joined = frame.join(steps, left_on=column, right_on="_from", how="left")
    return joined.with_column(column, coalesce(daft.col("_to"), daft.col(column))).select(*frame.column_names)


def _contract(edges: "daft.DataFrame", parents: "daft.DataFrame") -> "daft.DataFrame":
    """The edges between parents, each once, without those from a vertex to itself."""
    import daft
    from daft.functions import when

    a, b = daft.col("a"), daft.col("b")
    moved = _follow(_follow(edges, "a", parents), "b", parents).where(a != b)
    return moved.select(when(a < b, a).otherwise(b).alias("a"), when(a < b, b).otherwise(a).alias("b")).distinct()
