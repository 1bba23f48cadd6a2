"""What the benchmarks share: turns that are timed, gloo ranks, a table, and a line about the machine."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MIB = 2**20


def machine() -> str:
    """Return a line that says what the figures were taken on."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} x {cpu}{device}; Python {python}, torch {torch.__version__}"


@dataclass
class Timing:
    """What running a candidate took, and what it gave.

    Args:
        turns: seconds of each turn.
        result: what the last turn gave.
    """

    turns: list[float] = field(default_factory=list)
    result: Any = None

    @property
    def seconds(self) -> float:
        """The median of the turns."""
        return statistics.median(self.turns)

    def add(self, run: Callable[[], Any]) -> None:
        """Take one turn."""
        start = time.perf_counter()
        self.result = run()
        self.turns.append(time.perf_counter() - start)


def interleaved(
    candidates: Mapping[str, Callable[[], Any]], repeats: int, at_most: Mapping[str, int] | None = None
) -> dict[str, Timing]:
    """Time candidates that take turns, so that a noisy neighbour disturbs all alike.

    Args:
        candidates: by name.
        repeats: turns of each.
        at_most: fewer turns for some, the slow ones.
    """
    timings = {name: Timing() for name in candidates}
    for turn in range(repeats):
        for name, run in candidates.items():
            if turn < (at_most or {}).get(name, repeats):
                timings[name].add(run)
    return timings


def in_steps(candidates: Mapping[str, Iterator[Any]]) -> dict[str, Timing]:
    """Time iterators that take turns step by step: ``turns`` are the steps, the result is what the last one yielded."""
    timings, going = {name: Timing() for name in candidates}, dict(candidates)
    while going:
        for name, steps in list(going.items()):
            before = timings[name].result
            timings[name].add(lambda steps=steps: next(steps, StopIteration))
            if timings[name].result is StopIteration:
                timings[name].result = before
                timings[name].turns.pop()
                del going[name]
    return timings


class PeakMemory:
    """Watches how many resident bytes this process holds beyond those in use on entering: what was freed before that
    goes back to the system first, where the C library can, or it would hide what is taken now.
    """

    def __enter__(self) -> PeakMemory:
        getattr(ctypes.CDLL(None), "malloc_trim", id)(0)
        self.before = self.highest = rss()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watch.join()

    @property
    def beyond(self) -> int:
        """The most bytes so far."""
        return self.highest - self.before

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self.highest = max(self.highest, rss())


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as an aligned table; floats with 3 significant digits."""
    cells = [list(head), *([f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def on_ranks(world_size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return what ``function(rank, *args)`` returns on each of some gloo ranks; they need nothing but this machine."""
    port, spawn = _free_port(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(world_size, mp_context=spawn) as pool:
        ranks = [pool.submit(_rank, rank, world_size, port, function, args) for rank in range(world_size)]
        return [rank.result() for rank in ranks]


def rss() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _rank(rank: int, size: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size, timeout=timedelta(minutes=5))
    answer = function(rank, *args)
    dist.barrier()
    dist.destroy_process_group()
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123
            return file.read().splitlines()
    except OSError:
        return []
