"""What this machine is, and how fast it could be."""

import os
import platform
import time
from importlib.metadata import version

import jax
import jax.numpy as jnp

import tenfold

PEAK_FLOPS = {  # dense bf16, per chip, from the makers' data sheets
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989.4e12,
    "NVIDIA H200": 989.4e12,
}


def peak_flops(devices: list[jax.Device]) -> tuple[float, str]:
    """Operations a second of all `devices` together, and where the figure is from; a CPU is timed, as no data sheet fits it."""
    kind = devices[0].device_kind
    for name in sorted(PEAK_FLOPS, key=len, reverse=True):
        if kind.startswith(name):
            return PEAK_FLOPS[name] * len(devices), f"data sheet, {name}"
    return measured_flops(), f"measured: a 1,024 x 1,024 bf16 product on {kind}"


def measured_flops() -> float:
    """The best of 8 timings of a bf16 product with f32 sums, on the default device: virtual CPU devices share one machine."""
    n = 1024
    x = jnp.ones((n, n), jnp.bfloat16)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


def machine() -> dict:
    """Facts for a run's result.json."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    devices = jax.devices()
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "jax": version("jax"),
        "tenfold": tenfold.__version__,
        "device": f"{len(devices)} x {devices[0].device_kind}",
    }


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
