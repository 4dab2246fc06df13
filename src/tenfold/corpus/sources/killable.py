"""Work done in another process, so that an item that takes too long, crashes or eats the memory takes nothing else with it.

One worker process lives as long as its owner and gets items in batches; an item over its time is killed with its process by the
kernel (a timer of CPU time, so that a busy machine refuses no item that an idle one takes), the process is replaced, and the rest of
the batch is done again.
"""

import atexit
import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, NamedTuple

from tenfold.errors import UserError

SIZE = struct.Struct("<Q")
MEMORY = 8 << 30  # bytes of address space; libraries reserve more than they use


class Failed(NamedTuple):
    """An item without a result."""

    reason: str


_idle: dict[tuple[str, float], list["Worker"]] = {}


@contextlib.contextmanager
def lent_worker(function: str, seconds: float) -> Iterator["Worker"]:
    """A worker that outlives its use, for the next file's pages: a process takes longer to start than many files take to extract."""
    idle = _idle.setdefault((function, seconds), [])
    worker = idle.pop() if idle else Worker(function, seconds)
    try:
        yield worker
    except BaseException:
        worker.stop()  # it may owe an answer
        raise
    idle.append(worker)


@atexit.register
def _stop_idle() -> None:
    for workers in _idle.values():
        for worker in workers:
            worker.stop()


class Worker:
    """A process that applies `function` ("module:name") to tuples of arguments. Use it in a `with`."""

    def __init__(self, function: str, seconds: float):
        self.function = function
        self.seconds = seconds
        self.sent: list[tuple] = []
        self.process: subprocess.Popen | None = None
        self.progress = -1

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def send(self, items: list[tuple]) -> None:
        """Gives it a batch; `receive` must come before the next."""
        self.sent = items
        if self.process is None:
            self._start()
        assert self.process and self.process.stdin
        try:
            _write(self.process.stdin, items)
        except BrokenPipeError:
            pass  # `receive` meets its end

    def receive(self) -> list[Any]:
        """The results of the batch in its order, with `Failed` for an item that raised ("not extractable"), took too long or crashed."""
        batch = self.sent
        results: list[Any] = [None] * len(batch)
        left = list(range(len(batch)))
        while left:
            if (done := self._answer()) is not None:
                os.read(self.progress, len(left))
                for index, result in zip(left, done, strict=True):
                    results[index] = result
                break
            finished, reason = self._autopsy()
            results[left.pop(min(finished, len(left) - 1))] = Failed(reason)
            if left:
                self.send([batch[index] for index in left])
        return results

    def _answer(self) -> list[Any] | None:
        assert self.process and self.process.stdout
        return _read(self.process.stdout)

    def _autopsy(self) -> tuple[int, str]:
        """How many items the dead process had finished, and what the one after them did."""
        assert self.process
        code = self.process.wait()
        finished = 0
        while done := os.read(self.progress, 1 << 16):
            finished += len(done)
        self.stop()
        return finished, "too slow to extract" if code == -signal.SIGPROF else "crashed the extractor"

    def _start(self) -> None:
        self.progress, writes = os.pipe()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        serve_it = f"from {__name__} import serve; serve({self.function!r}, {self.seconds!r}, {writes})"
        command = [sys.executable, "-c", serve_it]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[writes], env=environment
        )
        os.close(writes)
        assert self.process.stdout
        hello = _read(self.process.stdout)
        if hello != "ready":
            self.stop()
            raise UserError(f"The process that extracts text could not start: {hello}.\n  Try `pip install 'tenfold[web]'`.")

    def stop(self) -> None:
        """Ends the process; another is started when there is more to do."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close() if stream else None
            except BrokenPipeError:
                pass
        os.close(self.progress)
        self.process = None


def _write(stream: IO[bytes], what: Any) -> None:
    data = pickle.dumps(what, protocol=5)
    stream.write(SIZE.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    """What the other side wrote, or None where it has ended."""
    size = stream.read(SIZE.size)
    if len(size) < SIZE.size:
        return None
    data = stream.read(*SIZE.unpack(size))
    return pickle.loads(data) if len(data) == SIZE.unpack(size)[0] else None


def serve(function: str, seconds: float, progress: int) -> None:
    """The worker's side: batches from standard input, results to standard output, and a byte into `progress` for each finished item."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    try:
        module, name = function.split(":")
        apply = getattr(import_module(module), name)
        _limit_memory()
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    except Exception as error:
        _write(answers, repr(error))
        return
    _write(answers, "ready")
    while (items := _read(sys.stdin.buffer)) is not None:
        results = []
        for item in items:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            results.append(_result(apply, item))
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(progress, b".")
        _write(answers, results)


def _limit_memory() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))


def _result(apply: Any, item: tuple) -> Any:
    try:
        return apply(*item)
    except Exception:
        return Failed("not extractable")
