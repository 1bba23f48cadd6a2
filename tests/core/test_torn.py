"""An update is added whole or not at all; one that dies amid its writing leaves a role that is known to be torn."""

from __future__ import annotations

import copy
import pickle
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
from conftest import (
    CLASSES,
    MEASURES,
    SAMPLES,
    WIDTH,
    WIDTHS,
    draw_features,
    draw_side,
    fill,
    first_of_each_kind,
    name_of,
)
from host_reads import answer_late
from torch import nn
from torchmetrics import MetricCollection

import streaming_metrics
from streaming_metrics import FID, IS, KID, PRDC, GenerativeMetrics
from streaming_metrics.core.saved_states import merge_states
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.image import FrechetInceptionDistance
from streaming_metrics.measures.base import Measure, Scalar
from streaming_metrics.statistics import Bank, Moments, Statistic, bank

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks

    from streaming_metrics import Features

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

HOUSE = str(Path(streaming_metrics.__file__).parent)
ALL = [FID(), KID(subsets=5, subset_size=8), IS(splits=3), PRDC(k=3, capacity=16)]
TORN = r"side.*Remedy: reset\(\) or load_state_dict\(\)"


def build(*measures: Measure, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(
        measures, extractor=None, num_features=WIDTH, num_classes=CLASSES, widths=WIDTHS, **options
    )


def filled(*measures: Measure, **options: Any) -> GenerativeMetrics:
    return fill(build(*measures, **options))


def batch(n: int = SAMPLES) -> Features:
    return draw_features(3, n=n).having(index=torch.arange(SAMPLES, SAMPLES + n))


def scores(metric: GenerativeMetrics) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


@cache
def saved() -> dict[str, Any]:
    metric = filled(*ALL)
    metric.update(batch(), real=False)
    metric.persistent(True)
    return metric.state_dict()


def is_torn(metric: Any) -> bool:
    try:
        metric.compute()
    except (RuntimeError, ValueError) as error:
        return "got a torn" in str(error)
    return False


class Interrupted:
    """Raises KeyboardInterrupt at the n-th line of the house that runs inside, as Ctrl-C may at any.

    Args:
        at: n.
        among: names of the functions whose lines count; None counts all.
    """

    def __init__(self, at: int, among: set[str] | None) -> None:
        self.left, self.among = at, among

    def __enter__(self) -> Interrupted:
        sys.settrace(self.enter)
        return self

    def __exit__(self, kind: Any, *_: object) -> bool:
        sys.settrace(None)
        return kind is KeyboardInterrupt

    def enter(self, frame: Any, *_: Any) -> Any:
        code = frame.f_code
        counts = code.co_filename.startswith(HOUSE) and (self.among is None or code.co_name in self.among)
        return self.trace if counts else None

    def trace(self, _: Any, event: str, __: Any) -> Any:
        if event == "line":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace


def states_of(metric: GenerativeMetrics) -> dict[str, Any]:
    return {name: state.tolist() for name, state in metric.metric_state.items()}  # pyright: ignore


def outcomes(
    make: Callable[[], GenerativeMetrics],
    act: Callable[[GenerativeMetrics], Any],
    among: set[str] | None = None,
    step: int = 1,
) -> list[str]:
    """Interrupt ``act`` at every line in turn, and return how each left the metric: as before, torn, or as after."""
    before, after = make(), make()
    act(after)
    known, found = {"before": states_of(before), "after": states_of(after)}, []
    for at in range(0, 2000, step):
        metric = copy.deepcopy(before)
        with Interrupted(at, among) as cut:
            act(metric)
        states = states_of(metric)
        found.append(next((name for name, of in known.items() if of == states), "torn"))
        assert found[-1] != "torn" or is_torn(metric), f"neither whole nor torn, at line {at}"
        if cut.left >= 0:
            return found
    raise AssertionError("it never ends")


def add_by_forward(metric: GenerativeMetrics) -> None:
    with suppress(ValueError):  # IS(num_samples=40) has no place for the batch, and no value
        metric(batch(), real=False)


ACTS: dict[str, Callable[[GenerativeMetrics], Any]] = {
    "update": lambda metric: metric.update(batch(), real=False),
    "forward": add_by_forward,
    "merge": lambda metric: metric.merge_state(metric.clone()),
    "load": lambda metric: metric.load_state_dict(saved()),
    "reset": lambda metric: metric.reset(),
}
WRITING = {"add", "replace", "thaw", "writing", "_put", "update", "staged", "write", "_write", "append", "exchange"}
WRITING |= {"_reduce_states", "reset", "_load_from_state_dict"}


FORWARD = {FID(), IS(splits=3), PRDC(k=3)}
"""Rows of which a forward is broken quickly; of the others too where there is time."""
UPDATE = first_of_each_kind()
"""Rows of which an update is broken quickly: a measure that keeps what others keep is written as they are."""
acts = [
    pytest.param(measure, act, marks=[pytest.mark.slow] * (measure not in quick))
    for measure in MEASURES
    for act, quick in (("update", UPDATE), ("forward", FORWARD))
]


@pytest.mark.parametrize(("measure", "act"), acts, ids=name_of)
def test_ctrl_c_at_any_line_that_writes_leaves_all_none_or_torn(measure: Measure, act: str) -> None:
    found = outcomes(lambda: filled(measure), ACTS[act], WRITING)
    assert sorted(found, key=["before", "torn", "after"].index) == found
    assert {"before", "torn", "after"} == set(found)


@pytest.mark.parametrize(
    ("act", "among", "step"),
    [
        pytest.param("update", None, 1, marks=pytest.mark.slow),
        ("update", None, 7),
        ("merge", WRITING, 1),
        ("load", WRITING, 1),
        ("reset", WRITING, 1),
    ],
    ids=lambda value: None if isinstance(value, set) else value,
)
def test_ctrl_c_at_any_line_of_all_leaves_all_none_or_torn(act: str, among: set[str] | None, step: int) -> None:
    found = outcomes(lambda: filled(*ALL), ACTS[act], among, step)
    assert found[0] == "before"
    assert {"torn", "after"} <= set(found)


def add_late(metric: GenerativeMetrics) -> None:
    metric.update(batch(), real=False)
    metric.settle()


def test_ctrl_c_at_any_line_that_holds_a_batch_back_or_adds_it_leaves_all_none_or_torn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_late(monkeypatch)
    found = outcomes(lambda: filled(*ALL), add_late, {*WRITING, "_hold", "set_aside", "settle", "put_back", "refuse"})
    assert (found[0], found[-1]) == ("before", "after")
    assert "torn" in found


# --- an error between two statistics ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failing(Statistic):
    """Fails at its ``at``-th update, before it has written anything or after it has."""

    label: str
    fails: bool
    writes: bool = False

    @property
    def name(self) -> str:
        return f"failing_{self.label}"

    def empty(self, device: Any = "cpu") -> dict[str, torch.Tensor]:
        return {"n": torch.zeros(1, dtype=torch.int64, device=device)}

    def update(self, state: dict[str, torch.Tensor], features: Features) -> dict[str, torch.Tensor]:
        if self.writes:
            state["n"] += len(features)
        if self.fails and len(features) < SAMPLES:
            raise MemoryError
        return state if self.writes else {"n": state["n"] + len(features)}

    def merge(self, states: Any) -> dict[str, torch.Tensor]:
        return {"n": torch.stack([state["n"] for state in states]).sum(0)}

    def all_reduce(self, state: dict[str, torch.Tensor], comm: Comm) -> dict[str, torch.Tensor]:
        return {"n": comm.sum(state["n"].clone())}


@dataclass(frozen=True)
class Counts(Measure):
    """Keeps three statistics beside FID's, one of which fails."""

    position: int
    writes: bool = False

    label = "counts"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("counts"),)

    def statistics(self, spec: Any) -> dict[str, tuple[Statistic, ...]]:
        own = [Failing(label, at == self.position, self.writes) for at, label in enumerate("abc")]
        kept = (own[0], Moments(spec.num_features), own[1], Bank(spec.num_features, 16), own[2])
        return {"real": kept, "fake": kept}

    def check(self, sides: Any) -> None:
        pass

    def compute(self, sides: Any, prepared: Any, results: Any) -> dict[str, torch.Tensor]:  # noqa: ARG002
        states = [state for side in sides for state in side.states.values()]
        return {"counts": sum(tensor.double().sum() for state in states for tensor in state.values())}  # pyright: ignore


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("writes", [False, True])
def test_a_statistic_that_fails_in_any_place_leaves_all_or_a_torn_role(position: int, writes: bool) -> None:
    metric = filled(Counts(position, writes), FID())
    before = scores(metric)
    with pytest.raises(MemoryError):
        metric.update(batch(5), real=True)
    if not is_torn(metric):
        assert scores(metric) == before
    assert is_torn(metric) or not writes
    metric.reset()
    fill(metric)
    assert scores(metric) == before


@pytest.mark.parametrize("what", ["append", "hashed_clusters"])
def test_a_bank_that_finds_no_memory_leaves_all_as_it_was(what: str) -> None:
    metric = filled(*ALL)
    before = scores(metric)
    for role in (True, False):
        with mock.patch.object(bank, what, side_effect=MemoryError), pytest.raises(MemoryError):
            metric.update(batch(), real=role)
    assert scores(metric) == before
    metric.update(batch(), real=False)
    whole = filled(*ALL)
    whole.update(batch(), real=False)
    assert scores(metric) == scores(whole)


def test_moments_that_find_no_memory_leave_all_as_it_was() -> None:
    metric = filled(*ALL)
    before = scores(metric)
    with mock.patch.object(torch, "cat", side_effect=MemoryError), pytest.raises(MemoryError):
        metric.update(batch(), real=False)
    assert scores(metric) == before


# --- what is torn -----------------------------------------------------------------------------------------------------


def torn(metric: GenerativeMetrics, real: bool = False) -> GenerativeMetrics:
    """Interrupt an update between the two writes of Moments: the counts of both are then equal."""
    with mock.patch.object(Moments, "_write", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        metric.update(batch(), real=real)
    return metric


USES: dict[str, Callable[[GenerativeMetrics, Path], Any]] = {
    "compute": lambda metric, _: metric.compute(),
    "freeze_real": lambda metric, _: metric.freeze_real(),
    "save_reference": lambda metric, path: metric.save_reference(path),
    "save_state": lambda metric, path: metric.save_state(path),
    "sync": lambda metric, _: metric.sync(distributed_available=lambda: True),
    "neighbourhood": lambda metric, _: metric.neighbourhood(),
    "closest_pairs": lambda metric, _: metric.closest_pairs(),
    "inspector": lambda metric, _: metric.inspector(),
    "modes": lambda metric, _: metric.modes(),
    "projection": lambda metric, _: metric.projection(),
    "units": lambda metric, _: metric.units(),
    "update": lambda metric, _: metric.update(batch(), real=True),
    "forward": lambda metric, _: metric(batch(), real=False),
    "merge into": lambda metric, _: metric.merge_state(filled(*ALL)),
    "merge from": lambda metric, _: filled(*ALL).merge_state(metric),
    "merge_states": lambda metric, path: merge_states(metric, [path.with_name("whole")]),
}


@pytest.mark.parametrize("use", USES)
def test_a_torn_role_is_refused_with_the_remedy(use: str, tmp_path: Path) -> None:
    filled(*ALL).save_state(tmp_path / "whole")
    metric = torn(filled(*ALL), real=True)
    states = states_of(metric)
    copies: list[Any] = [metric, metric.clone(), pickle.loads(pickle.dumps(metric))]
    for one in copies:
        with pytest.raises(RuntimeError, match=f"expected whole sides, got a torn real {TORN}"):
            USES[use](one, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert states_of(metric) == states


def test_a_reference_of_a_whole_real_side_is_written_beside_a_torn_fake_side(tmp_path: Path) -> None:
    metric = torn(filled(*ALL))
    metric.save_reference(tmp_path / "torn")
    metric.freeze_real()
    with pytest.raises(RuntimeError, match=f"got a torn fake {TORN}"):
        metric.compute()
    metric.reset()
    metric.update(draw_side("fake"), real=False)
    frozen = filled(*ALL)
    frozen.freeze_real()
    assert scores(metric) == scores(frozen)


@pytest.mark.parametrize("real", [True, False])
def test_reset_and_loading_mend(real: bool) -> None:
    whole = filled(*ALL)
    whole.persistent(True)
    loaded = torn(filled(*ALL), real)
    loaded.load_state_dict(whole.state_dict())
    assert scores(loaded) == scores(whole)
    reset = torn(filled(*ALL), real)
    reset.reset()
    assert scores(fill(reset)) == scores(whole)


def test_the_mark_is_in_a_state_dict_and_survives_a_move() -> None:
    metric = torn(filled(*ALL))
    metric.persistent(True)
    again = filled(*ALL)
    again.load_state_dict(metric.state_dict())
    for one in (again, metric.to("cpu").double()):
        assert is_torn(one)


def test_a_state_dict_of_before_is_read() -> None:
    whole = filled(*ALL)
    whole.persistent(True)
    old = {name: state for name, state in whole.state_dict().items() if "torn" not in name}
    again = torn(build(*ALL), real=True)
    again.load_state_dict(old)
    assert scores(again) == scores(whole)
    again.merge_state(old)


@pytest.mark.parametrize("mark", [torch.zeros(2), torch.zeros(0).long(), torch.tensor(7), torch.tensor(0.5), None, "x"])
def test_a_mark_that_is_none_is_refused_before_anything_is_loaded(mark: Any) -> None:
    metric, donor = filled(FID()), filled(FID())
    before, bad = {key: state.clone() for key, state in metric.metric_state.items()}, dict(donor.metric_state)
    for role in ("real", "fake"):
        (name,) = (name for name in bad if name.startswith(f"{role}_torn"))
        with pytest.raises(RuntimeError, match=f"State {name}: expected int64"):
            metric.load_state_dict(bad | {name: mark})
        with pytest.raises(ValueError, match=f"State {name}: expected int64"):
            metric.merge_state(bad | {name: mark})
        assert all(torch.equal(state, before[key]) for key, state in metric.metric_state.items())


def test_in_a_compute_group_the_whole_group_is_torn() -> None:
    collection = MetricCollection({"a": build(FID()), "b": build(FID()), "c": build(FID(), IS(splits=3))})
    for real in (True, False):
        collection.update(draw_features(int(real)), real=real)
    with mock.patch.object(Moments, "_write", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        collection.update(batch(), real=False)
    for name in ("a", "b"):
        assert is_torn(collection[name])
    collection.reset()
    for real in (True, False):
        collection.update(draw_features(int(real)), real=real)
    collection.compute()


class Pixels(nn.Module):
    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().flatten(1)


def test_a_drop_in_is_torn_too_and_mended_although_its_real_side_outlives_a_reset() -> None:
    metric = FrechetInceptionDistance(Pixels(), reset_real_features=False)
    generator = torch.Generator().manual_seed(0)
    for real in (True, False):
        metric.update(torch.randint(0, 255, (20, 3, 2, 2), generator=generator), real=real)
    metric.reset()
    assert (metric.num_samples("real"), metric.num_samples("fake")) == (20, 0)
    with mock.patch.object(Moments, "_write", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        metric.update(torch.randint(0, 255, (20, 3, 2, 2), generator=generator), real=True)
    with pytest.raises(RuntimeError, match=f"got a torn real {TORN}"):
        metric.compute()
    metric.reset()
    assert metric.num_samples("real") == 0


def torn_on_one(group: Any, victim: int) -> str:
    metric = build(FID(), process_group=group, timeout=30.0)
    for real in (True, False):
        metric.update(draw_features(int(real)).having(index=None), real=real)
    if Comm(group).rank == victim:
        torn(metric)
    with pytest.raises(RuntimeError, match=f"got a torn fake side on rank {victim}: .*Remedy: ") as caught:
        metric.compute()
    metric.reset()
    for real in (True, False):
        metric.update(draw_features(int(real)).having(index=None), real=real)
    metric.compute()
    return str(caught.value)


@pytest.mark.parametrize(("world_size", "victim"), [(2, 0), (3, 2)])
def test_what_is_torn_on_one_rank_is_refused_on_all(ranks: Ranks, world_size: int, victim: int) -> None:
    assert len(set(ranks.run(world_size, torn_on_one, victim))) == 1
