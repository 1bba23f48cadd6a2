"""What the benchmarks share: interleaved medians, gloo ranks, a table, and a line about the machine."""

from __future__ import annotations

import multiprocessing
import os
import platform
import socket
import statistics
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MIB = 2**20


def machine() -> str:
    """Return a line that says what the figures were taken on."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} x {cpu}{device}; Python {python}, torch {torch.__version__}"


def interleaved(candidates: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return each candidate's median seconds; they take turns, so that a noisy neighbour disturbs all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as an aligned table; floats with 3 significant digits."""
    cells = [list(head), *([f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def on_ranks(world_size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """Return what ``function(rank, *args)`` returns on each of some gloo ranks; they need nothing but this machine."""
    context = multiprocessing.get_context("spawn")
    answers, port = context.SimpleQueue(), _free_port()
    ranks = [
        context.Process(target=_rank, args=(answers, r, world_size, port, function, args)) for r in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    if any(process.exitcode for process in ranks):
        raise SystemExit("A rank failed: see its error above.")
    return [answer for _, answer in sorted((answers.get() for _ in ranks), key=lambda pair: pair[0])]


def rss() -> int:
    """Return the bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _rank(answers: Any, rank: int, size: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size, timeout=timedelta(minutes=5))
    answers.put((rank, function(rank, *args)))
    dist.barrier()
    dist.destroy_process_group()


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
