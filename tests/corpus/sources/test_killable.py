"""A worker gives each item its result, or says what became of it; nothing an item does reaches the others."""

import os
import time

import pytest

from tenfold.corpus.sources.killable import Failed, Worker, lent_worker
from tenfold.errors import UserError


def test_results_in_order_whatever_an_item_does():
    """Slow ones, crashes and errors among good ones, in several batches of one worker."""
    items = [("1+1",), ("1/0",), ("sum(range(10**10))",), ("__import__('os').abort()",), ("print('noise') or 'x'*100_000",), ("'last'",)]
    with Worker("builtins:eval", seconds=0.3) as worker:
        for _ in range(2):
            worker.send(items)
            assert worker.receive() == [
                2,
                Failed("not extractable"),
                Failed("too slow to extract"),
                Failed("crashed the extractor"),
                "x" * 100_000,
                "last",
            ]


def test_waiting_is_not_slow():
    """The time counted is the processor's: a machine that is busy with other things refuses nothing."""
    with Worker("time:sleep", seconds=0.1) as worker:
        worker.send([(0.4,)])
        assert worker.receive() == [None]


def test_batches_larger_than_a_pipe():
    with Worker("builtins:len", seconds=10) as worker:
        worker.send([(bytes(100_000),)] * 50)
        assert worker.receive() == [100_000] * 50


def test_the_process_ends_with_its_owner():
    with Worker("os:getpid", seconds=1) as worker:
        worker.send([()])
        (process,) = worker.receive()
        os.kill(process, 0)
    time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_lent_worker_is_used_again_unless_it_owes_an_answer():
    """The next file's pages go to the process of the last one's; one that was left in the middle is ended."""

    def process() -> int:
        with lent_worker("os:getpid", 4.0) as worker:
            worker.send([()])
            return worker.receive()[0]

    first = process()
    assert process() == first
    with pytest.raises(KeyError), lent_worker("os:getpid", 4.0) as worker:
        worker.send([()])
        raise KeyError
    assert process() != first


def test_a_worker_that_cannot_start_is_not_the_pages_fault():
    with Worker("no_such_module:f", seconds=1) as worker, pytest.raises(UserError, match="could not start: ModuleNotFoundError"):
        worker.send([()])
