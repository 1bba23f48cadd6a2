"""Processes: what a command and the processes that it starts take, in time and memory; of Linux."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVERY, SHARE = 0.02, 20
"""Seconds between two looks at memory, at least, and how many times a look they are: it must not slow what it sees."""


@dataclass(frozen=True)
class Spent:
    """What a command took.

    Args:
        command: its arguments.
        wall, cpu: seconds; the latter of its children too.
        peak: most bytes of its tree of processes, what several share counted once (PSS).
        resident: most bytes of the process itself (RSS).
        code: exit status.
        out: what it printed.
    """

    command: Sequence[str]
    wall: float
    cpu: float
    peak: int
    resident: int
    code: int
    out: str


def spent(command: Sequence[str], env: Mapping[str, str] | None = None) -> Spent:
    """Run a command; return what it took."""
    with TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        with _Watch(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Spent(command, wall, cpu, watch.peak, watch.resident, process.returncode, out.read())


class _Watch:
    """Watches the memory of a process and of those below it while inside."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak, self.resident = pid, 0, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        pause = EVERY
        while not self._done.wait(pause):
            start = time.perf_counter()
            self.resident = max(self.resident, _bytes(self.pid, "status", "VmHWM"))
            self.peak = max(self.peak, sum(_bytes(pid, "smaps_rollup", "Pss") for pid in _tree(self.pid)))
            pause = max(EVERY, SHARE * (time.perf_counter() - start))


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = task.read_text().split()
        except OSError:  # it has ended
            continue
        for child in below:
            yield from _tree(int(child))


def _bytes(pid: int, file: str, name: str) -> int:
    """Return a number of bytes that the kernel says of a process; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
