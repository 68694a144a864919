"""Started in place of each program: ties its life to the platform's, then becomes the program.

Run as `python -I -S guard.py PARENT_PID PROGRAM ARGUMENT…`, so it may import nothing but the standard library.
On Linux the kernel then kills the program when the platform dies, however it dies. Elsewhere there is no such call:
there a program outlives a `push up` that was killed with SIGKILL (and only then).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MANY_FILES = 1 << 16
EXIT_ORPHAN = 75  # sysexits.h EX_TEMPFAIL
EXIT_NO_PROGRAM = 127


def main(arguments: list[str]) -> int:
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.stderr.write(f"prctl: {os.strerror(ctypes.get_errno())}\n")
        return EXIT_ORPHAN
    if os.getppid() != parent:  # it died before the call above took effect
        return EXIT_ORPHAN
    _default_signals()
    _allow_many_sockets()
    try:
        os.execv(program[0], program)  # noqa: S606 - the argv is the platform's own, no shell
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        return EXIT_NO_PROGRAM


def _default_signals() -> None:
    """Python ignores SIGPIPE and the like; an exec would hand that on."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _allow_many_sockets() -> None:
    """A shell's usual limit of 1024 open files would be a gateway's limit of clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else MANY_FILES
    with contextlib.suppress(OSError, ValueError):  # macOS: the kernel's own maximum may be lower
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
