"""Many processes, one run: JAX's own distributed runtime, and who goes first."""

from collections.abc import Callable
from typing import TypeVar

import jax

from tenfold.errors import UserError

Found = TypeVar("Found")


def join(coordinator: str, processes: int, process: int) -> None:
    """Makes this process number `process` of `processes`; call before any other use of JAX. Process 0 listens at `coordinator`.

    On CPUs the processes talk by gloo, JAX's collectives over TCP.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator is {coordinator!r}, but must be HOST:PORT of process 0, such as 10.0.0.1:1234.")
    if processes < 1 or not 0 <= process < processes:
        raise UserError(f"--process is {process} of --processes {processes}: number the processes from 0 to {processes - 1}.")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(coordinator, num_processes=processes, process_id=process)


def everyone(where: str) -> None:
    """Waits until all processes are here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(where)


def first_then_rest(work: Callable[[], Found]) -> Found:
    """`work()` in process 0 and, when it is done there, in all others: for files that one writes and all read."""
    if not jax.distributed.is_initialized():  # asking JAX for the process's number would start its threads
        return work()
    if jax.process_index() == 0:
        found = work()
        everyone("the first is done")
        return found
    everyone("the first is done")
    return work()
