"""Batches made ahead of the step that needs them, in a thread."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Iterates over (step, make(step)) for each of `steps`, running `ahead` of them ahead of the reader.

    An error in `make` is raised to the reader at its step, after the batches before it. `close`, or leaving a `with`, stops the
    thread after the batch it is making; a reader that goes away without either does no harm, the thread is a daemon.
    """

    def __init__(self, make: Callable[[int], T], steps: Iterable[int], ahead: int = 2):
        if ahead < 1:
            raise ValueError(f"ahead is {ahead}: at least one batch must be made ahead")
        self._made: queue.Queue = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make, iter(steps)), name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[int, T]]:
        return self

    def __next__(self) -> tuple[int, T]:
        if self._stop.is_set():
            raise StopIteration
        kind, value = self._made.get()
        if kind == "made":
            return value
        self.close()
        if kind == "failed":
            raise value
        raise StopIteration

    def close(self) -> None:
        """Stops and waits for the thread. May be called twice."""
        self._stop.set()
        while self._thread.is_alive():
            self._empty()  # a thread waiting to hand over a batch must be let go
            self._thread.join(timeout=0.05)

    def __enter__(self) -> "Prefetcher[T]":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _empty(self) -> None:
        try:
            while True:
                self._made.get_nowait()
        except queue.Empty:
            pass

    def _run(self, make: Callable[[int], T], steps: Iterator[int]) -> None:
        try:
            for step in steps:
                if self._stop.is_set():
                    return
                self._made.put(("made", (step, make(step))))
            self._made.put(("ended", None))
        except BaseException as error:  # not lost in the thread, whatever it is: the reader raises it
            self._made.put(("failed", error))
