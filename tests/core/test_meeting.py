"""Ranks compute together only what is one metric: anything else is an error on every rank, which names both sides."""

from __future__ import annotations

import os
import pickle
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from conftest import CLASSES, WIDTH, draw_features, forkserver
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torchmetrics import MetricCollection

from streaming_metrics import FID, IS, KID, PRDC, GenerativeMetrics, MissingRanks
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.files.reference import Reference
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.report.page import write_comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks

    from streaming_metrics import Measure

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

worlds = pytest.mark.parametrize("world_size", [pytest.param(2, marks=pytest.mark.slow), 3])


def build(*measures: Measure, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(
        measures or [FID()], extractor=None, num_features=WIDTH, num_classes=CLASSES, **{"timeout": 30.0, **options}
    )


def fill(metric: Any, seed: int = 0) -> Any:
    """Give a metric features that depend on the rank and on ``seed``."""
    rank = max(metric.ranks().rank, 0)
    for real in (True, False):
        features = draw_features(10 * seed + 2 * rank + real).having(index=torch.arange(40) + 40 * rank)
        metric.update(features, real=real)
    return metric


def value(metric: GenerativeMetrics) -> float:
    return next(iter(metric.compute().values())).item()


def refused(call: Callable[[], Any]) -> str:
    """Return with which words the ranks are told that theirs is not one metric."""
    with pytest.raises(RuntimeError, match=r"expected .*, got .*\. Remedy: ") as caught:
        call()
    return str(caught.value)


# --- refused: before a number is made, on every rank, and the ranks can go on -----------------------------------------


def raw_on_rank_0_alone(group: Any, names: tuple[str | None, ...]) -> tuple[str, float, float]:
    raw, ema = (fill(build(process_group=group, name=name), seed) for seed, name in enumerate(names))
    told = refused(raw.compute if Comm(group).rank == 0 else ema.compute)
    return told, value(ema), value(raw)


@worlds
@pytest.mark.parametrize("names", [(None, None), ("raw", "ema")], ids=["by line", "by name"])
def test_raw_on_one_rank_is_not_mixed_with_the_average_on_others(ranks: Ranks, names: Any, world_size: int) -> None:
    answers = ranks.run(world_size, raw_on_rank_0_alone, names)
    alone = [value(fill(build(name="other"), seed)) for seed in range(2)]
    for told, ema, raw in answers:
        assert "name=" in told
        assert told.count("on rank") == 2
        assert (ema, raw) == answers[0][1:]
        assert not {ema, raw} & set(alone)
    if names[0]:
        assert answers[0][0].index("raw on rank 0") < answers[0][0].index("ema on rank")


def rank_0_comes_to_another_metric_later(group: Any) -> list[str]:
    """What the issue tells: rank 0 computes raw and then ema, the others ema alone."""
    raw, ema = (fill(build(process_group=group, timeout=1.0), seed) for seed in range(2))
    told = []
    for metric in (raw, ema) if Comm(group).rank == 0 else (ema,):
        try:
            metric.compute()
        except RuntimeError as error:
            told.append(type(error).__name__)
    return told


def test_the_first_meeting_fails_on_all_and_the_one_that_is_too_many_is_missed(ranks: Ranks) -> None:
    assert ranks.run(2, rank_0_comes_to_another_metric_later) == [["RuntimeError", "MissingRanks"], ["RuntimeError"]]


def in_another_order(group: Any) -> tuple[str, float]:
    first, second = fill(build(process_group=group)), fill(build(process_group=group), 1)
    if Comm(group).rank:
        return refused(second.compute), value(first)
    return refused(first.compute), value(first)


def test_two_metrics_in_another_order_are_refused(ranks: Ranks) -> None:
    (told, one), (_, other) = ranks.run(2, in_another_order)
    assert "test_meeting.py" in told
    assert one == other


DIFFERENT: dict[str, tuple[list[Measure], list[Measure]]] = {
    "k": ([PRDC(k=3)], [PRDC(k=5)]),
    "measure": ([FID()], [KID(subsets=5, subset_size=8)]),
    "one more": ([FID()], [FID(), IS()]),
    "seed": ([KID(subsets=5, subset_size=8)], [KID(subsets=5, subset_size=8, seed=7)]),
}


def different(group: Any, case: str) -> tuple[str, float]:
    rank = Comm(group).rank
    metrics = [fill(build(*measures, process_group=group)) for measures in DIFFERENT[case]]
    return refused(metrics[min(rank, 1)].compute), value(metrics[0])


@worlds
@pytest.mark.parametrize("case", DIFFERENT)
def test_other_measures_are_refused(ranks: Ranks, case: str, world_size: int) -> None:
    answers = ranks.run(world_size, different, case)
    one, other = (", ".join(measure.describe() for measure in measures) for measures in DIFFERENT[case])
    for told, number in answers:
        assert f"GenerativeMetrics({one}) on rank 0" in told
        assert f"GenerativeMetrics({other}) on rank{'s 1, 2' if world_size == 3 else ' 1'}" in told
        assert number == answers[0][1]


def fewer_on_rank_0(group: Any) -> tuple[str, float]:
    metric = fill(build(FID(), PRDC(k=3), process_group=group))
    of_all = metric.measures
    if Comm(group).rank == 0:
        metric.measures = of_all[:1]
    told, metric.measures = refused(metric.compute), of_all
    return told, value(metric)


def test_fewer_measures_in_force_on_one_rank_are_refused(ranks: Ranks) -> None:
    (told, one), (_, other) = ranks.run(2, fewer_on_rank_0)
    assert "GenerativeMetrics(fid) on rank 0; GenerativeMetrics(fid, prdc(k=3)) on rank 1" in told
    assert one == other


def different_calls(group: Any) -> tuple[str, float]:
    metric = fill(build(PRDC(k=3), process_group=group))
    calls = [metric.freeze_real, metric.compute, metric.neighbourhood]
    return refused(calls[Comm(group).rank]), value(metric)


def test_different_calls_of_one_metric_are_refused(ranks: Ranks) -> None:
    for told, _ in ranks.run(3, different_calls):
        assert "freeze_real() on rank 0; compute() on rank 1; neighbourhood() on rank 2" in told


def frozen_differently(group: Any, folder: Path, how: str) -> tuple[str, str]:
    rank = Comm(group).rank
    path = folder / f"{how}{rank}"
    own = fill(build(PRDC(k=3, recall=False), FID(), sync_on_compute=False), 1 if how == "same" else rank)
    if how == "same":
        own.reset()
        own.update(draw_features(3), real=True)
    own.save_reference(path)
    metric = build(PRDC(k=3, recall=False), FID(), process_group=group, reference=path)
    metric.update(draw_features(rank), real=False)
    return (refused(metric.compute), path.name) if how == "other" else (f"{value(metric)}", path.name)


def test_references_that_differ_between_ranks_are_refused_and_equal_ones_are_not(ranks: Ranks, tmp_path: Path) -> None:
    for told, _ in ranks.run(3, frozen_differently, tmp_path, "other"):
        assert "expected the same real side on all, got frozen " in told
        assert told.count("on rank") == 3
    assert len({told for told, _ in ranks.run(3, frozen_differently, tmp_path, "same")}) == 1


def frozen_on_one(group: Any) -> str:
    metric = fill(build(process_group=group))
    metric.freeze_real()
    value(metric)
    other = build(process_group=group)
    if Comm(group).rank:
        other.load_state_dict(metric.state_dict())
    return refused(other.compute)


def test_a_real_side_that_one_rank_has_not_loaded_is_noticed(ranks: Ranks) -> None:
    for told in ranks.run(2, frozen_on_one):
        assert "not frozen on rank 0; frozen " in told


def frozen_and_loaded(group: Any) -> tuple[float, float]:
    metric = fill(build(PRDC(k=3), FID(), process_group=group))
    metric.freeze_real()
    first, loaded = value(metric), build(PRDC(k=3), FID(), process_group=group)
    loaded.load_state_dict(metric.state_dict())
    loaded.merge_state(metric)
    return first, value(loaded)


def test_a_frozen_real_side_that_every_rank_loads_is_one(ranks: Ranks) -> None:
    for first, again in ranks.run(2, frozen_and_loaded):
        assert first == again


def frozen_here_and_loaded_there(group: Any) -> list[tuple[float, str]]:
    """Rank 0 loads what it froze, whose digest begins with a zero now and then."""
    told = []
    for seed in range(64):
        metric = fill(build(process_group=group), seed)
        metric.freeze_real()
        if Comm(group).rank == 0:
            metric.load_state_dict(metric.state_dict())
        told.append((value(metric), metric._frozen_in_words()))
    return told


def test_a_frozen_real_side_that_one_rank_loads_is_the_same(ranks: Ranks) -> None:
    told, others = ranks.run(2, frozen_here_and_loaded_there)
    assert told == others
    assert any(words.startswith("frozen 0") for _, words in told)


# --- legal ------------------------------------------------------------------------------------------------------------


def alone_on_rank_0(group: Any) -> float:
    """Rank 0 makes two more by the same line, for itself."""
    makes = [False, False, True] if Comm(group).rank == 0 else [True]
    metrics = [fill(build(process_group=group, sync_on_compute=together)) for together in makes]
    return [value(metric) for metric in metrics][-1]


def in_a_group_of_its_own(group: Any) -> float:
    private, values = dist.new_group([0]), []
    for own in [private, group] if Comm(group).rank == 0 else [group]:
        values.append(value(fill(build(process_group=own))))
    return values[-1]


def clones(group: Any) -> list[float]:  # noqa: ARG001
    metric = fill(build())
    copies = [metric.clone() for _ in range(2)]
    grown = copies[1].clone()
    fill(copies[0], 1)
    return [value(one) for one in (grown, metric, *reversed(copies))]


def pickled(group: Any) -> list[float]:
    """One rank works with what it has made, the others with what they have unpickled."""
    made = [fill(build(), seed) for seed in range(2)]
    return [value(pickle.loads(pickle.dumps(one)) if Comm(group).rank else one) for one in made]


def in_a_collection(group: Any) -> list[float]:
    raw, ema = fill(build(process_group=group)), fill(build(process_group=group), 1)
    members = {"raw": raw, "ema": ema, "kid": fill(build(KID(subsets=5, subset_size=8), process_group=group))}
    if Comm(group).rank:
        members = dict(reversed(members.items()))
    collection = MetricCollection(members)
    return [number.item() for number in collection.compute().values()]


def anew_each_epoch(group: Any) -> list[float]:
    kept, values = [], []
    for epoch in range(3):
        metric = fill(build(process_group=group), epoch)
        values.append(value(metric))
        kept.append(metric)
    return values


def after_a_failed_update(group: Any) -> list[float]:
    """On one rank an update fails, and it tries again with a new metric; on each epoch another one."""
    values = []
    for epoch in range(3):
        broken = Comm(group).rank == epoch % 2
        while True:
            metric = build(process_group=group)
            try:
                metric.update(torch.zeros(3, WIDTH - broken), real=True)  # pyright: ignore[reportArgumentType]
                break
            except ValueError:
                broken = False
        metric.reset()
        values.append(value(fill(metric, epoch)))
    return values


def after_a_missed_meeting(group: Any) -> list[float]:
    """Rank 0 waits for the others in vain, and all go on with new metrics."""
    values = []
    for epoch in range(3):
        metric = fill(build(process_group=group, timeout=0.3 if epoch == 1 else 30.0), epoch)
        if epoch != 1:
            values.append(value(metric))
        elif Comm(group).rank == 0:
            with pytest.raises(MissingRanks):
                metric.compute()
        dist.barrier(group)
    return values


def on_other_lines(group: Any, subsets: int) -> float:
    measure = KID(subsets=subsets, subset_size=7)
    makers = [lambda: build(measure, process_group=group), lambda: build(measure, process_group=group)]
    return value(fill(makers[min(Comm(group).rank, 1)]()))


def named_on_other_lines(group: Any) -> list[float]:
    if Comm(group).rank:
        ema, raw = (build(process_group=group, name=name) for name in ("ema", "raw"))
    else:
        raw, ema = (build(process_group=group, name=name) for name in ("raw", "ema"))
    return [value(fill(raw)), value(fill(ema, 1))]


LEGAL: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (alone_on_rank_0, ()),
    (in_a_collection, ()),
    (anew_each_epoch, ()),
    (after_a_failed_update, ()),
    (after_a_missed_meeting, ()),
    (on_other_lines, (9,)),
    (named_on_other_lines, ()),
]


@worlds
@pytest.mark.parametrize(("use", "args"), LEGAL, ids=[use.__name__ for use, _ in LEGAL])
def test_what_is_one_metric_stays_legal(
    ranks: Ranks, use: Callable[..., Any], args: tuple[Any, ...], world_size: int
) -> None:
    args = tuple(arg + world_size for arg in args)  # a kind of which the pool's processes have made none
    answers = ranks.run(world_size, use, *args)
    assert answers == [answers[0]] * world_size


@pytest.mark.parametrize("use", [clones, pickled, in_a_group_of_its_own], ids=lambda use: use.__name__)
def test_what_is_one_metric_stays_legal_in_the_group_of_all(ranks: Ranks, use: Callable[..., Any]) -> None:
    answers = ranks.run(4, use)
    assert answers == [answers[0]] * 4


def two_on_other_lines(group: Any) -> str:
    if Comm(group).rank:
        first = build(process_group=group)
        build(process_group=group)
    else:
        first = build(process_group=group)
    return refused(fill(first).compute)


def test_two_metrics_on_lines_that_differ_between_ranks_are_asked_for_a_name(ranks: Ranks) -> None:
    assert all("give it the same name= on every rank" in told for told in ranks.run(2, two_on_other_lines))


def test_a_monitor_gives_its_prefix() -> None:
    monitor = GenerationMonitor([FID()], torch.nn.Flatten(), tag="pixels", num_features=192, prefix="ema/")
    assert monitor.metric._identity.which == "ema/"


# --- other collective calls -------------------------------------------------------------------------------------------


def synced(group: Any) -> str:
    metric = fill(build(FID() if Comm(group).rank else PRDC(k=3), process_group=group))
    told = refused(lambda: metric.sync(distributed_available=lambda: True))
    missed = fill(build(process_group=group, timeout=0.3))
    if Comm(group).rank == 0:
        with pytest.raises(MissingRanks, match=r"sync\(\) is collective.*Ranks \[1\] of 2"):
            missed.sync(distributed_available=lambda: True)
    assert (metric.num_samples("real"), missed.num_samples("real")) == (40, 40)
    return told


def test_sync_meets_too(ranks: Ranks) -> None:
    for told in ranks.run(2, synced):
        assert "sync(): " in told


def outside(group: Any) -> str:
    inside = dist.new_group([0, 1])
    metric = fill(build(process_group=inside))
    if Comm(group).rank < 2:
        return str(value(metric))
    with pytest.raises(
        ValueError, match=r"expected a process_group= that this rank is in, got .* rank [23]\. Remedy: "
    ):
        metric.compute()
    return ""


def test_a_rank_outside_the_group_is_told_so(ranks: Ranks) -> None:
    first, second, _, _ = ranks.run(4, outside)
    assert first == second


# --- files that rank 0 writes -----------------------------------------------------------------------------------------

SLOW = 0.5


def write_reference(metric: GenerativeMetrics, path: Path) -> None:
    metric.save_reference(path)


def write_page(metric: GenerativeMetrics, path: Path) -> None:
    write_comparison(path, metric=metric, values=metric.compute())


def written(group: Any, write: Callable[..., None], path: Path) -> tuple[bool, str]:
    metric = fill(build(process_group=group))
    rank, text, save = Comm(group).rank, Path.write_text, Reference.save

    def late(original: Any) -> Any:
        def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
            time.sleep(SLOW)
            return original(self, *args, **kwargs)

        return slow

    with mock.patch.object(Reference, "save", late(save)), mock.patch.object(Path, "write_text", late(text)):
        write(metric, path)
    there = path.exists()
    with pytest.raises(OSError, match=r"nowhere") as caught:
        write(metric, path / "nowhere" / "file")
    value(metric)
    return there, f"{rank} {caught.value}"


@pytest.mark.parametrize("write", [write_reference, write_page])
def test_what_rank_0_writes_is_there_on_every_rank_or_fails_on_every_rank(
    ranks: Ranks, tmp_path: Path, write: Any
) -> None:
    for there, told in ranks.run(2, written, write, tmp_path / "file"):
        assert there
        assert "nowhere" in told


def unfit(group: Any, path: Path) -> None:
    metric = build(PRDC(k=3), process_group=group)
    metric.update(torch.full((5, WIDTH), 1e6) + torch.arange(5.0).view(5, 1), real=True)  # pyright: ignore
    with pytest.raises(ValueError, match="half=True: features beyond 65504"):
        metric.save_reference(path, half=True)
    metric.save_reference(path)


def test_features_that_do_not_fit_are_refused_on_every_rank(ranks: Ranks, tmp_path: Path) -> None:
    ranks.run(2, unfit, tmp_path / "file")


# --- a store that outlives its process group --------------------------------------------------------------------------


def two_groups(rank: int, port: int, path: list[str], answers: Any) -> None:
    """Make a group, and then another one at the same store, as under torchrun, whose agent hosts the store."""
    sys.path[:] = path
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=20))
    for generation in range(2):
        dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
        metric = fill(build())
        if generation and rank == 0:
            metric._timeout = 0.5
            with pytest.raises(MissingRanks, match=r"Ranks \[1\] of 2"):
                metric.compute()
            metric._timeout = 30.0
        dist.barrier()
        answers.send(value(metric))
        dist.destroy_process_group()
        leave_no_address(store, rank, generation)


def leave_no_address(store: TCPStore, rank: int, generation: int) -> None:
    """Delete what gloo left at the store, when both ranks are out of the group.

    The next group has the same name, and a rank that is early would connect to the other's old address.
    """
    store.set(f"out/{generation}/{rank}", "")
    store.wait([f"out/{generation}/{other}" for other in range(2)], timedelta(seconds=20))
    if rank == 0:
        for other in range(2):
            store.delete_key(f"0//cpu//0/{other}")
        store.set(f"cleared/{generation}", "")
    store.wait([f"cleared/{generation}"], timedelta(seconds=20))


def test_a_new_group_at_an_old_store_waits_for_its_ranks() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = forkserver()
    pipes = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=two_groups, args=(rank, store.port, sys.path, pipe[1]), daemon=True)
        for rank, pipe in enumerate(pipes)
    ]
    told: list[float] = []
    for process in processes:
        process.start()
    try:
        for mine, _ in pipes * 2:
            assert mine.poll(60)
            told.append(mine.recv())
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert told == [told[0]] * 4
