"""The thread runs ahead, but not away; it stops when told, and its errors are not lost."""

import threading
import time

import pytest

from tenfold.tokens.prefetch import Prefetcher


def threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def until(condition) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_steps_come_in_order():
    with Prefetcher(lambda step: step * step, range(5, 50), ahead=3) as batches:
        assert list(batches) == [(step, step * step) for step in range(5, 50)]
        assert list(batches) == []


def test_it_runs_ahead_and_no_further():
    """`ahead` wait, and one more is made and waits for room."""
    made: list[int] = []
    with Prefetcher(made.append, range(100), ahead=3) as batches:
        assert until(lambda: len(made) == 4)
        time.sleep(0.05)
        assert len(made) == 4
        next(batches)
        assert until(lambda: len(made) == 5)


def test_an_error_comes_at_its_step_after_the_batches_before_it():
    def make(step):
        if step == 3:
            raise RuntimeError("no row 3")
        return step

    with Prefetcher(make, range(10)) as batches:
        assert [next(batches)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(RuntimeError, match="no row 3"):
            next(batches)
    assert until(lambda: threads() == 0)


@pytest.mark.parametrize("read", [0, 1, 7])
def test_closing_stops_the_thread_while_it_waits(read):
    batches = Prefetcher(lambda step: step, range(10**9), ahead=2)
    for _ in range(read):
        next(batches)
    batches.close()
    batches.close()
    assert threads() == 0
    with pytest.raises(StopIteration):
        next(batches)


def test_leaving_by_an_error_stops_the_thread():
    with pytest.raises(KeyboardInterrupt), Prefetcher(lambda step: step, range(10**9)) as batches:
        next(batches)
        raise KeyboardInterrupt
    assert threads() == 0


def test_at_least_one_ahead():
    with pytest.raises(ValueError, match="ahead is 0"):
        Prefetcher(lambda step: step, range(3), ahead=0)
