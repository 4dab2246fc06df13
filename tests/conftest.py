"""What every test shares: the CPU, repeatable properties, and Python processes of their own."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

# Before anything imports JAX. What one test compiles is kept for the others of this run of the suite, as a run that goes on compiles again
# what the one before it did; not for the next, or one would depend on another.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="tenfold-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # JAX writes a program in place, and another worker could read a half of it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(os.environ["JAX_COMPILATION_CACHE_DIR"], worker)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")  # no test calls anybody
# Tests compile much and compute little: with all that makes programs quick they would take twice as long. The older way to emit fused loops
# compiles quicker, where JAX still has it. Of flags said twice the last holds, so the caller's do.
os.environ["XLA_FLAGS"] = " ".join(
    [
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_backend_optimization_level=0",
        *(["--xla_cpu_use_fusion_emitters=false"] if version("jaxlib").startswith("0.10.") else []),
        os.environ.get("XLA_FLAGS", ""),
    ]
)

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# The same examples each time; HYPOTHESIS_PROFILE=explore looks for new ones. No deadline: the first call compiles.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


OPTIMISED = "TENFOLD_TESTS_OPTIMISED"


def pytest_pyfunc_call(pyfuncitem):
    """A test marked `optimised` holds where XLA optimises: it runs by itself in a process where it does, and not in this one."""
    if OPTIMISED in os.environ or pyfuncitem.get_closest_marker("optimised") is None:
        return None
    flags = f"{os.environ['XLA_FLAGS']} --xla_backend_optimization_level=1".replace("_emitters=false", "_emitters=true")
    others = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "", pyfuncitem.nodeid]
    done = subprocess.run(command, cwd=ROOT, env=others | {OPTIMISED: "1", "XLA_FLAGS": flags}, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"in a process of its own:\n{done.stdout}\n{done.stderr}", pytrace=False)
    return True


MOST_MAPS = 30_000
"""Of a process's mapped regions, of which Linux allows 65,530 and each compiled program takes some: one worker could not run all tests."""


@pytest.fixture(scope="module", autouse=True)
def programs_are_let_go():
    """After a file of tests, where there are many."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        import jax

        jax.clear_caches()


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Runs Python in a process of its own: `run_python(code_or_path, *args, devices=8, timeout=240, cwd=None, env=None) -> stdout`.

    JAX counts its devices once a process, so a test that needs several must start one. A failure shows both streams.
    """

    def run(program: str | Path, *args: str, devices: int = 8, timeout: float = 240, cwd=None, env: dict | None = None) -> str:
        command = [str(program)] if isinstance(program, Path) else ["-c", textwrap.dedent(program)]
        done = subprocess.run(
            [sys.executable, *command, *map(str, args)],
            env=process_environment(devices) | (env or {}),
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"the process ended with {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}", pytrace=False)
        return done.stdout

    return run


def process_environment(devices: int) -> dict[str, str]:
    """This process's environment, with `devices` virtual CPU devices and the package under test importable."""
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    path = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "XLA_FLAGS": " ".join([*flags, f"--xla_force_host_platform_device_count={devices}"]),
        "PYTHONPATH": os.pathsep.join(path),
    }
