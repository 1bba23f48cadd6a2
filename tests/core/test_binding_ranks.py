"""A measure that binds gives one value on any ranks: uneven, empty, not those that saved it, or copied on one."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from binding_cases import (
    BINDING,
    LETTERS,
    MEASURES,
    batch,
    build,
    can_bind,
    close,
    expected,
    floats,
    freeze,
    is_bound,
    kept_of_fakes,
    named,
)

from streaming_metrics import KID, PRDC, merge_states

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ranks

    from streaming_metrics import GenerativeMetrics, Measure

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:.*bind_limit=:UserWarning"),
]

every = pytest.mark.parametrize("measures", MEASURES, ids=named)
binding = pytest.mark.parametrize("measures", BINDING, ids=named)

SHARES = {
    1: [["r0 r1 r2 t0 t1 t2 f0", "f1 f2"]],
    2: [["r0 t0 t1 t2", "f1"], ["r1 r2 f0", "f2"]],
    3: [["t1", ""], ["r0 r1 t0 t2 f0", "f2 f1"], ["r2", ""]],
}
"""By number of ranks, what each adds before a side is frozen, and after."""
UNEVEN = 3
"""Ranks of which one has nothing to count and one adds nothing after; fewer show in more time what these do."""


def sizes(*quick: int, of: tuple[int, ...] = (1, 2, 3)) -> Any:
    rows = [pytest.param(size, marks=[pytest.mark.slow] * (size not in quick)) for size in of]
    return pytest.mark.parametrize("world_size", rows)


def give(metric: GenerativeMetrics, steps: str) -> None:
    for step in steps.split():
        role = LETTERS[step[0]]
        if role in metric.roles:
            metric.update(batch(role, int(step[1:])), role=role)


def told(metric: GenerativeMetrics) -> tuple[dict[str, float], list[bool], int]:
    return floats(metric.compute()), is_bound(metric), kept_of_fakes(metric)


def frozen_in_between(
    group: Any, measures: list[Measure], roles: tuple[str, ...], limit: int, steps: list[str]
) -> tuple[dict[str, float], list[bool], int]:
    metric = build(measures, process_group=group, bind_limit=limit)
    give(metric, steps[0])
    freeze(metric, *roles)
    give(metric, steps[1])
    metric.sync()
    metric.unsync()
    return told(metric)


@sizes(UNEVEN)
@pytest.mark.parametrize(
    "roles",
    [("real", "train"), *(pytest.param(r, marks=pytest.mark.slow) for r in (("train", "real"), ()))],
    ids=str,
)
@every
def test_any_ranks_give_one_value(
    ranks: Ranks, measures: list[Measure], roles: tuple[str, ...], world_size: int
) -> None:
    answers = ranks.run(world_size, frozen_in_between, measures, roles, 1 << 30, each=SHARES[world_size])
    for values, are_bound, kept in answers:
        assert values == close(expected(measures))
        assert are_bound == (can_bind(measures) if roles else [False] * len(measures))
        assert kept == 0 or not roles or not all(can_bind(measures))
    assert len({str(values) for values, _, _ in answers}) == 1


@sizes(UNEVEN, of=(2, 3))
@binding
def test_beyond_the_limit_sides_stay_sharded(ranks: Ranks, measures: list[Measure], world_size: int) -> None:
    roles = "real", "train"
    for values, are_bound, _ in ranks.run(world_size, frozen_in_between, measures, roles, 0, each=SHARES[world_size]):
        assert values == close(expected(measures))
        assert not any(are_bound)


# --- files ------------------------------------------------------------------------------------------------------------


def saved(group: Any, measures: list[Measure], folder: Path, steps: list[str]) -> None:
    metric = build(measures, process_group=group)
    give(metric, steps[0])
    freeze(metric, "real", "train")
    give(metric, steps[1])
    metric.save_state(folder / f"{group.rank()}.safetensors")


def loaded(group: Any, measures: list[Measure], folder: Path) -> tuple[dict[str, float], list[bool], int]:
    metric = build(measures, process_group=group)
    metric.load_state_dict(torch_load_sides(folder / "0.safetensors"), strict=False)
    merge_states(metric, [folder / f"{rank}.safetensors" for rank in range(2)])
    return told(metric)


def torch_load_sides(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor for name, tensor in load_file(path).items() if not name.startswith("fake_")}


@sizes(UNEVEN, of=(1, 3))
@binding
def test_what_two_ranks_saved_any_others_load(
    ranks: Ranks, measures: list[Measure], world_size: int, tmp_path: Path
) -> None:
    ranks.run(2, saved, measures, tmp_path, each=SHARES[2])
    for values, are_bound, kept in ranks.run(world_size, loaded, measures, tmp_path):
        assert values == close(expected(measures))
        assert (are_bound, kept) == (can_bind(measures), 0)


def bound_anew(group: Any, measures: list[Measure], steps: list[str]) -> tuple[dict[str, float], list[bool], int]:
    """Freeze without binding, keep features, and compute with a metric that may bind."""
    before = build(measures, process_group=group, bind_limit=0)
    give(before, steps[0])
    freeze(before, "real", "train")
    give(before, steps[1])
    before.persistent(True)
    state, metric = before.state_dict(), build(measures, process_group=group)
    metric.load_state_dict({name: tensor for name, tensor in state.items() if "_prepared_" not in name}, strict=False)
    assert not any(is_bound(metric))
    return told(metric)


@sizes(2)
@binding
def test_frozen_sides_of_before_bind_where_ranks_meet(ranks: Ranks, measures: list[Measure], world_size: int) -> None:
    for values, are_bound, kept in ranks.run(world_size, bound_anew, measures, each=SHARES[world_size]):
        assert values == close(expected(measures))
        assert (are_bound, kept) == (can_bind(measures), 0)


# --- what one rank has forgotten --------------------------------------------------------------------------------------


def pickled(metric: GenerativeMetrics) -> GenerativeMetrics:
    return pickle.loads(pickle.dumps(metric))


def looked_at(metric: GenerativeMetrics) -> GenerativeMetrics:
    """A metric that was pickled, as a checkpoint is, and is used itself."""
    pickle.dumps(metric)
    return metric


def copied_from(metric: GenerativeMetrics) -> GenerativeMetrics:
    """A metric that another was copied from."""
    copy.deepcopy(metric)
    return metric


def with_a_copy_on_one_rank(
    group: Any, measures: list[Measure], copied: Callable[..., Any], steps: list[str]
) -> list[dict[str, float]]:
    metric = build(measures, name="one", timeout=20)  # of the group of all: others do not pickle
    give(metric, steps[0])
    freeze(metric, "real", "train")
    metric = copied(metric) if group.rank() == 1 else metric
    give(metric, steps[1])
    return [floats(metric.compute()) for _ in range(2)]


@pytest.mark.parametrize("copied", [pickled, looked_at, copied_from], ids=lambda f: f.__name__)
@pytest.mark.parametrize("measures", [BINDING[-1], [KID(subsets=None), PRDC(k=3)]], ids=named)
def test_a_copy_on_one_rank_enters_no_collective_alone(ranks: Ranks, measures: list[Measure], copied: Any) -> None:
    for values in ranks.run(4, with_a_copy_on_one_rank, measures, copied, each=[*SHARES[3], ["", ""]]):
        for one in values:
            assert one == pytest.approx(expected(measures), rel=1e-6, abs=1e-9)


def with_other_limits(group: Any, measures: list[Measure], steps: list[str]) -> str:
    metric = build(measures, process_group=group, bind_limit=(1 << 30) * group.rank(), timeout=5)
    give(metric, steps[0])
    try:
        freeze(metric, "real", "train")
    except RuntimeError as error:
        return str(error)
    return "nothing was refused"


@binding
def test_limits_that_differ_between_ranks_are_refused(ranks: Ranks, measures: list[Measure]) -> None:
    for message in ranks.run(2, with_other_limits, measures, each=SHARES[2]):
        assert "same bind_limit" in message
