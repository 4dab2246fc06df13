"""Keeps a step's memory between steps, on machines where the host computes."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8  # malloc.h


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed instead of giving it back; call before JAX starts its threads, which its first question about
    devices or processes does.

    XLA's CPU backend allocates a step's buffers anew each time, and glibc maps large ones afresh, so that each step takes a page fault
    for every 4 KiB it touches: hundreds of megabytes of them. Kept, the same products run 1.5 times as fast and more. One arena,
    because those of threads cannot hold blocks over 64 MiB. The process stays as large as it has been. Without glibc, does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)
    mallopt(M_TOP_PAD, 64 << 20)
