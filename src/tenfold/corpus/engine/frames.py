"""Daft, as the stages use it: a runner, a batch of Parquet parts as a dataframe, plain functions as expressions, and writing by part.

Everything here is an expression that the native engine and Ray both run. What comes out of a batch does not depend on the order in
which rows arrive or on the number of workers: rows are grouped by part and sorted before they are written.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tenfold.corpus.engine.store import Part, Stage, write_part
from tenfold.errors import UserError

if TYPE_CHECKING:
    import daft

EngineName = Literal["native", "ray"]
ROWS = 256  # of a batch that a function is given


@dataclass(frozen=True)
class Engine:
    """Where dataframes run, and in how many processes plain functions do."""

    name: EngineName = "native"
    workers: int = 1
    """1: inside this process."""
    least_bytes: int = 32_000_000
    """Less work than this is done inside this process: others would take longer to start."""

    def start(self) -> "Engine":
        """Sets Daft's runner. Raises UserError where Ray is asked for and absent, or the process already runs the other engine."""
        os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")  # it reports home otherwise
        os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
        try:
            import daft
        except ImportError as error:
            raise UserError("The corpus engine needs Daft, which is not installed.\n  pip install daft") from error
        if self.name == "ray":
            try:
                import ray  # noqa: F401
            except ImportError as error:
                raise UserError("--engine ray needs Ray, which is not installed.\n  pip install 'tenfold[ray]'") from error
        with contextlib.suppress(daft.exceptions.DaftCoreException):  # it is set once a process
            daft.set_runner_ray(noop_if_initialized=True) if self.name == "ray" else daft.set_runner_native()
        running = daft.runners.get_or_infer_runner_type()
        if running != self.name:
            raise UserError(f"This process runs Daft on {running} already, and --engine is {self.name}.\n  Start a new one.")
        return self

    def worth(self, bytes: int) -> "Engine":
        """The engine for work on so many bytes."""
        return replace(self, workers=1) if self.name == "native" and bytes < self.least_bytes else self

    def apply(self, function: Callable[..., Any], columns: Sequence[str], type: "daft.DataType", rows: int = ROWS) -> "daft.Expression":
        """function(list of each column) as an expression of that type, `rows` rows at a time, in `workers` processes.

        The function returns a list or an Arrow array as long as its arguments; for a struct, a dictionary of them.
        """
        import daft

        def run(*series):
            return _as_arrow(function(*[each.to_arrow().to_pylist() for each in series]), type)

        arguments = [daft.col(name) for name in columns]
        if self.workers == 1:  # a class with a limit on how many run at once gets a process whatever it says
            return daft.func.batch(return_dtype=type, batch_size=rows, use_process=False)(run)(*arguments)

        @daft.cls(use_process=True, max_concurrency=self.workers)
        class Batch:
            @daft.method.batch(return_dtype=type, batch_size=rows)
            def run(self, *series):
                return run(*series)

        return Batch().run(*arguments)

    def each(self, function: Callable[[int], int], items: Sequence[int]) -> int:
        """Calls function(item) for each, one at a time in each worker, and adds up what it returns. Items are done in no fixed order."""
        import daft

        if not items:
            return 0
        number = daft.DataType.int64()
        several = replace(self, workers=min(self.workers, len(items)))
        work = several.apply(lambda numbers: [function(item) for item in numbers], ["item"], number, rows=1)
        return sum(daft.from_pydict({"item": list(items)}).select(work.alias("done")).to_pydict()["done"])


def _as_arrow(values, type):
    import pyarrow as pa

    arrow = type.to_arrow_dtype()
    if isinstance(values, dict):
        arrays = [_as_field(values[field.name], field.type, pa) for field in arrow]
        return pa.StructArray.from_arrays(arrays, fields=list(arrow))
    return _as_field(values, arrow, pa)


def _as_field(values, type, pa):
    return values.cast(type) if isinstance(values, pa.Array) else pa.array(values, type)


def struct(**fields: "daft.DataType") -> "daft.DataType":
    """The type of several columns made at once."""
    import daft

    return daft.DataType.struct(fields)


def unpacked(frame: "daft.DataFrame", column: str, fields: Sequence[str]) -> "daft.DataFrame":
    """The frame with the fields of a struct as columns in its place."""
    import daft

    return frame.with_columns({name: daft.col(column).get(name) for name in fields}).exclude(column)


def read_parts(stage: Stage, parts: list[Part]) -> "daft.DataFrame":
    """The documents of some parts of a finished stage. Raises UserError where a file is not what its checksum says."""
    import daft

    stage.verify(parts)
    return daft.read_parquet([str(stage.kept(part)) for part in parts])


def write_parts(frame: "daft.DataFrame", directory: Path) -> None:
    """Writes each part of a frame with columns of documents, "reason" and "other" into the folder of a stage in the making."""

    def write(table) -> None:
        write_part(directory, f"{table['part'][0].as_py():05}", table)

    each_part(frame, write)


def each_part(frame: "daft.DataFrame", function: Callable[[Any], None], by: str = "part") -> None:
    """Calls function(table) in the workers with all rows of each value of a column. The rows' order is not fixed."""
    import daft
    import pyarrow as pa

    names = frame.column_names

    @daft.func.batch(return_dtype=daft.DataType.int64(), use_process=False)
    def run(*series):
        function(pa.table({name: each.to_arrow() for name, each in zip(names, series, strict=True)}))
        return [len(series[0])]

    made = frame.groupby(by).map_groups(run(*[daft.col(name) for name in names]).alias("_rows"))
    made.collect()
