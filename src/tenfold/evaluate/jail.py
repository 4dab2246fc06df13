"""The inside of the sandbox: a program of its own that gives up every right it can, then runs what a model wrote (see sandbox.py).

It is started as a file, imports the standard library alone, and gives up in this order: the files of its folder (a small file system in
memory stands in their place, where there is a mount namespace), processor time, memory and file sizes (rlimits), root's capabilities,
writing anywhere but in its folder (Landlock), and with seccomp: processes, programs, signals, sockets, and the calls that change files'
owners and rights or the kernel's state. A step that fails ends it before the program starts.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys

CALLS = {  # what seccomp refuses: number on x86-64, on 64-bit ARM; None where it has no such call
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "unshare": (272, 97), "setns": (308, 268),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "socket": (41, 198), "io_uring_setup": (425, 425), "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "mount_setattr": (442, 442),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "prlimit64": (302, 261), "setrlimit": (160, 164), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "open_by_handle_at": (304, 265), "setsid": (112, 157), "setpgid": (109, 154), "personality": (135, 92),
}  # fmt: skip
UNLESS = {"tgkill": (234, 131)}  # refused but for the process itself: raise() and abort() are this call
WHEN = [  # refused with this second argument: each makes the kernel send signals to another process
    ((72, 25), 8), ((72, 25), 15),  # fcntl with F_SETOWN, F_SETOWN_EX
    ((16, 29), 0x8901), ((16, 29), 0x8902),  # ioctl with FIOSETOWN, SIOCSPGRP
]  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}  # column above, kernel's code, the number of clone
CLONE3, CLONE_THREAD = 435, 0x10000
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
LOAD, EQUAL, AT_LEAST, HAS_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_ENFORCE = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
SIGNALS_AND_SOCKETS = 3  # from version 6 on: neither leaves the jail
RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # all rights that the kernel's version of Landlock knows

NO_NEW_PRIVILEGES, SECCOMP, FILTER, DIE_WITH_PARENT = 38, 22, 2, 1

libc = ctypes.CDLL(None, use_errno=True)


def check(returned: int, what: str) -> int:
    if returned < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return returned


def own_files(megabytes: int) -> None:
    """Sets an empty file system of so many megabytes over the folder. Needs the mount namespace that `unshare` made."""
    here = os.getcwd().encode()
    options = f"size={megabytes}m,nr_inodes=1000,mode=700".encode()
    check(libc.mount(b"tmpfs", here, b"tmpfs", 2 | 4, options), "mount")  # nosuid, nodev
    os.chdir(here)


def limit(seconds: int, memory: int, file: int) -> None:
    """Processor seconds (asked to stop, then killed), bytes of memory, bytes of a file; no core dumps, few open files."""
    for what, most in (
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),
        (resource.RLIMIT_AS, (memory, memory)),
        (resource.RLIMIT_FSIZE, (file, file)),
        (resource.RLIMIT_NOFILE, (64, 64)),
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_STACK, (8 << 20, 8 << 20)),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, most if hard == resource.RLIM_INFINITY else (min(most[0], hard), min(most[1], hard)))


def drop_capabilities() -> None:
    """Root keeps its name and nothing else; without root this changes nothing."""
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    check(libc.capset(header, none), "capset")


def read_only() -> None:
    """Landlock: every file may be read, and only those in this folder (and /dev/null) written."""
    version = check(libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1), "Landlock")
    rights = RIGHTS[min(version, max(RIGHTS))]
    wanted = struct.pack("QQQ", rights, 0, SIGNALS_AND_SOCKETS) if version >= 6 else struct.pack("Q", rights)
    ruleset = check(libc.syscall(LANDLOCK_CREATE, wanted, ctypes.c_size_t(len(wanted)), 0), "Landlock")
    for path, allowed in (("/", EXECUTE | READ_FILE | READ_DIR), (os.getcwd(), rights), ("/dev/null", WRITE_FILE | READ_FILE)):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        check(libc.syscall(LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0), f"Landlock for {path}")
        os.close(place)
    check(libc.syscall(LANDLOCK_ENFORCE, ruleset, 0), "Landlock")
    os.close(ruleset)


def refuse_calls() -> None:
    """seccomp: the calls above fail with EPERM; threads may be started, processes may not."""
    if platform.machine() not in MACHINES:
        raise OSError(f"{platform.machine()} is none of {', '.join(MACHINES)}")
    column, machine, clone = MACHINES[platform.machine()]
    rules = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, machine), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    if column == 0:
        rules += [(AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, REFUSE | EPERM)]  # the numbers of x86-64's other half, x32
    rules += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, REFUSE | ENOSYS)]  # its flags lie in memory, out of sight: libc then uses clone
    rules += [(EQUAL, 0, 4, clone), (LOAD, 0, 0, 16), (HAS_BIT, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | EPERM)]
    for numbers, argument in WHEN:
        rules += [
            (EQUAL, 0, 4, numbers[column]),
            (LOAD, 0, 0, 24),
            (EQUAL, 0, 1, argument),
            (RETURN, 0, 0, REFUSE | EPERM),
            (LOAD, 0, 0, 0),
        ]
    for numbers in UNLESS.values():
        rules += [
            (EQUAL, 0, 4, numbers[column]),
            (LOAD, 0, 0, 16),
            (EQUAL, 1, 0, os.getpid()),
            (RETURN, 0, 0, REFUSE | EPERM),
            (LOAD, 0, 0, 0),
        ]
    for number in (numbers[column] for numbers in CALLS.values()):
        if number is not None:
            rules += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | EPERM)]
    rules.append((RETURN, 0, 0, ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    head = struct.pack("HP", len(rules), ctypes.addressof(program))
    check(libc.prctl(SECCOMP, FILTER, head, 0, 0), "seccomp")


def enclose(limits: dict) -> None:
    """Gives up everything, in the order that lets each step still be done."""
    check(libc.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0), "prctl")
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))  # for when nobody is left to kill it; the first of a namespace has no default
    signal.alarm(limits["clock"])
    if limits["own_files"]:
        own_files(limits["own_files"])
    limit(limits["seconds"], limits["memory"], limits["file"])
    drop_capabilities()
    check(libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    read_only()
    refuse_calls()


def main() -> None:
    """Reads the program from standard input, and writes what became of it to the pipe: the word that says it ran to its end is secret
    until then, so a program that leaves early, as os._exit does, cannot say so."""
    pipe, word, limits = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    source = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    del sys.argv[1:]
    try:
        enclose(limits)
    except Exception as error:
        os.write(pipe, f"open {error}".encode())
        os._exit(1)
    os.write(pipe, b"shut ")
    try:
        exec(compile(source, "program.py", "exec"), {"__name__": "program"})
        said = word
    except BaseException as error:  # SystemExit too: tests that did not run were not passed
        said = f"{type(error).__name__}: {error}"[:500]
    os.write(pipe, said.encode(errors="replace"))
    os._exit(0)


if __name__ == "__main__":
    main()
