"""Ctrl-C and SIGTERM end a run after the step at hand, with a checkpoint. A second Ctrl-C ends it at once."""

import signal
import threading
from contextlib import contextmanager


class StopRequest:
    asked = False


@contextmanager
def stop_on_signals():
    """Yields a StopRequest whose `asked` turns true on the first signal. Outside the main thread it never does."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number, frame):
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
