"""The most memory that a process has held, as Linux counts it."""

import ctypes
import re
from pathlib import Path


def forget_peak() -> None:
    """The peak counts anew from what is held now, after what was freed (of compiling, say) has gone back to the system."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def peak_megabytes() -> int:
    return _field("VmHWM")


def held_megabytes() -> int:
    return _field("VmRSS")


def _field(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 // 1_000_000
