"""What happens when ranks do not come, come late, leave or die: an error in time that says who, and no sample lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from conftest import WIDTH, draw_features, forkserver

from streaming_metrics import FID, PRDC, GenerativeMetrics
from streaming_metrics.distributed import rendezvous
from streaming_metrics.distributed.comm import Comm, MissingRanks
from streaming_metrics.pairwise import sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from conftest import Ranks

PATIENCE, GRACE = 1.0, 1.0
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def filled(rank: int, timeout: float = PATIENCE, **options: Any) -> GenerativeMetrics:
    measures = [FID(), PRDC(k=3)]
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, timeout=timeout, **options)
    for role in (True, False):
        metric.update(draw_features(2 * rank + role).pool, real=role)  # pyright: ignore[reportArgumentType]
    return metric


def attempt(metric: GenerativeMetrics) -> str:
    """Return how a compute failed, or ''."""
    try:
        metric.compute()
    except MissingRanks as error:
        return str(error)
    return ""


# --- in worlds of their own: their ranks die --------------------------------------------------------------------------


class World:
    """Processes in a gloo world that nobody else uses; rank 0 hosts its store."""

    def __init__(self, size: int, function: Callable[..., Any], *args: Any) -> None:
        context = forkserver()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        pipes = [context.Pipe() for _ in range(size)]
        self.answers = [mine for mine, _ in pipes]
        self.processes = [
            context.Process(target=_join, args=(theirs, rank, size, port, sys.path, function, args), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process in self.processes:
            process.start()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.join()

    def answer(self, rank: int) -> Any:
        assert self.answers[rank].poll(30), f"rank {rank} hangs"
        return self.answers[rank].recv()


def _join(pipe: Connection, rank: int, size: int, port: int, path: list[str], function: Any, args: Any) -> None:
    sys.path[:] = path
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    torch.set_num_threads(1)
    address, patience = f"tcp://127.0.0.1:{port}", timedelta(seconds=2)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=size, timeout=patience)
    pipe.send(function(rank, *args))
    signal.pause()  # the store lives as long as its host


LEAVE: dict[str, Callable[[], Any]] = {
    "absent": signal.pause,
    "exited": lambda: os._exit(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "frozen": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def without_the_host(rank: int, how: str) -> tuple[str, float]:
    metric = filled(rank)
    dist.barrier()
    if rank == 0:
        LEAVE[how]()
    time.sleep(0.2)
    start = time.monotonic()
    with mock.patch.object(rendezvous, "GRACE", GRACE):
        return attempt(metric), time.monotonic() - start


@pytest.mark.parametrize(
    "how", ["absent", *(pytest.param(how, marks=pytest.mark.slow) for how in LEAVE if how != "absent")]
)
def test_without_rank_0_the_others_say_that_it_hosts_the_store_and_is_missing(how: str) -> None:
    expected = (
        "Ranks [0] of 3 did not within 1 s" if how == "absent" else "rank 0 (or the launcher), which hosts it, is"
    )
    with World(3, without_the_host, how) as world:
        for rank in (1, 2):
            message, seconds = world.answer(rank)
            assert expected in message
            assert seconds < PATIENCE + GRACE + (4 if how == "killed" else 1)  # torch tries for long to reconnect


BREAKS: dict[str, tuple[Any, str]] = {"sum": (Comm, "_all_reduce"), "ring": (Comm, "ring"), "tile": (sweep, "tiles")}


def fails_midway(rank: int, where: str) -> tuple[str, bool, list[float]]:
    metric = filled(rank)
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    broken = mock.patch.object(*BREAKS[where], side_effect=MemoryError)
    message = ""
    if rank == 1:
        with broken, pytest.raises(MemoryError):
            metric.compute()
    else:
        message = attempt(metric)
    unchanged = all(torch.equal(before[name], state) for name, state in metric.metric_state.items())
    metric.process_group = dist.new_group(timeout=timedelta(seconds=10))
    return message, unchanged, [value.item() for value in metric.compute().values()]


def undisturbed(group: Any) -> list[float]:
    return [value.item() for value in filled(Comm(group).rank, 60.0, process_group=group).compute().values()]


@pytest.mark.parametrize(
    "where", ["sum", *(pytest.param(where, marks=pytest.mark.slow) for where in BREAKS if where != "sum")]
)
def test_an_exception_on_one_rank_amid_a_compute_ends_it_on_all_and_loses_nothing(ranks: Ranks, where: str) -> None:
    with World(2, fails_midway, where) as world:
        outcomes = [world.answer(rank) for rank in range(2)]
        assert "in the middle of compute()" in outcomes[0][0]
        for (_, unchanged, values), calm in zip(outcomes, ranks.run(2, undisturbed)):
            assert unchanged
            assert values == calm


def dies_midway(rank: int) -> str:
    metric = filled(rank)
    with mock.patch.object(Comm, "ring", side_effect=LEAVE["killed"] if rank else Comm.ring, autospec=True):
        return attempt(metric)


def test_a_rank_killed_amid_a_compute_ends_it_on_the_others_at_once() -> None:
    with World(2, dies_midway) as world:
        assert "A rank left, or lagged behind, in the middle of compute()" in world.answer(0)


# --- in the pool: ranks come at different times -----------------------------------------------------------------------


def in_turn(group: Any, order: list[int]) -> tuple[str, str]:
    """Compute one rank after another, each too late for the one before; then together."""
    rank, store = Comm(group).rank, dist.distributed_c10d._get_default_store()
    name = f"turn/{''.join(map(str, order))}"
    place = order.index(rank)
    if place:
        store.wait([f"{name}/{place - 1}"])
    alone = attempt(filled(rank, 0.3, process_group=group))
    store.set(f"{name}/{place}", "")
    store.wait([f"{name}/{turn}" for turn in range(len(order))])
    return alone, attempt(filled(rank, 60.0, process_group=group))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]], ids=str)
def test_a_rank_that_gave_up_is_missing_to_one_that_comes_later(ranks: Ranks, order: list[int]) -> None:
    for rank, (alone, together) in enumerate(ranks.run(3, in_turn, order)):
        assert f"Ranks {[other for other in range(3) if other != rank]} of 3 did not" in alone
        assert together == ""


def many_near_misses(group: Any) -> list[int]:
    """Come at about the moment when the other's patience ends, again and again: all go in, or none does."""
    comm, store, failed = Comm(group, timeout=0.01), dist.distributed_c10d._get_default_store(), []
    for number in range(60):
        store.set(f"miss/{number}/{comm.rank}", "")
        store.wait([f"miss/{number}/{rank}" for rank in range(2)])
        time.sleep(0.0002 * number if comm.rank else 0.0)
        try:
            comm.rendezvous()
        except MissingRanks:
            failed.append(number)
    return failed


def test_either_every_rank_goes_in_or_none_does(ranks: Ranks) -> None:
    first, second = ranks.run(2, many_near_misses)
    assert first == second


# --- in a Lightning run -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lightning_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = Path(__file__).parents[1] / "killed_run.py"
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("runs"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_amid_validation_ends_the_run_with_an_error_that_says_so(
    lightning_runs: dict[str, Any], victim: int
) -> None:
    killed = lightning_runs[f"killed{victim}"]
    assert killed["codes"][victim] == -signal.SIGKILL
    assert killed["codes"][1 - victim] == 1
    last = killed["survivor"].strip().splitlines()[-1]
    assert "MissingRanks: freeze_real() is collective" in last
    assert ["rank 0 (or the launcher)", "Ranks [1] of 2"][victim] in last
    assert killed["seconds"] < 30


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_the_resumed_run_logs_what_an_undisturbed_one_does(lightning_runs: dict[str, Any], victim: int) -> None:
    plain, resumed = lightning_runs["plain"]["logged"], lightning_runs[f"resumed{victim}"]["logged"]
    assert list(plain) == ["0", "1", "2"]
    assert list(resumed) == ["1", "2"]
    for epoch, values in resumed.items():
        assert values == pytest.approx(plain[epoch], rel=1e-9, abs=1e-12)
