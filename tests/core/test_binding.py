"""A measure that binds to a frozen side gives what it gives unbound: whenever it froze, however it was saved."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import (
    BINDING,
    MEASURES,
    NEVER,
    add,
    batch,
    bound,
    build,
    can_bind,
    close,
    expected,
    floats,
    follow,
    freeze,
    is_bound,
    kept_of_fakes,
    named,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchmetrics import Metric, MetricCollection, MetricTracker

from streaming_metrics import FID, PRDC, GenerativeMetrics, NotEnoughSamples, merge_states
from streaming_metrics.measures.authenticity import AuthPct
from streaming_metrics.measures.bins import NDB
from streaming_metrics.measures.r_precision import RPrecision
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streaming_metrics import Measure

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Remedy. bind_limit= of more bytes:UserWarning"),
]

every = pytest.mark.parametrize("measures", MEASURES, ids=named)
binding = pytest.mark.parametrize("measures", BINDING, ids=named)


def check(metric: GenerativeMetrics, fakes: tuple[int, ...] = (0, 1, 2)) -> None:
    assert floats(metric.compute()) == close(expected(metric.measures, fakes))


# --- any order --------------------------------------------------------------------------------------------------------

ORDERS = {
    "never frozen": "r0 r1 r2 t0 t1 t2 f0 f1 f2",
    "frozen first": "r0 r1 r2 t0 t1 t2 R T f0 f1 f2",
    "train first": "r0 r1 r2 t0 t1 t2 T R f0 f1 f2",
    "train alone": "t2 t0 t1 T r0 f1 r2 r1 f0 f2",
    "real alone": "r2 r0 r1 R f0 t1 t0 f2 t2 f1",
    "frozen last": "f0 r0 t0 f1 r1 t1 f2 r2 t2 T R",
    "in the midst": "f2 r1 r0 r2 R f0 t0 t1 t2 T f1",
    "twice": "f2 r1 r0 r2 R R f0 t0 t1 t2 T T R f1",
    "reset between": "r0 r1 r2 t0 t1 t2 R T f5 f6 x f0 f1 f2",
    "reset before": "r5 f6 t7 x r0 r1 r2 t0 t1 t2 f0 R T f1 f2",
    "reset after a replay": "r0 r1 r2 t0 t1 t2 f7 f8 R T x x f0 f1 f2",
    "computed between": "r0 t0 r1 t1 r2 t2 f0 c R T c f1 c f2 c",
    "by forward": "r0 r1 r2 t0 t1 t2 w0 R w1 T w2",
    "set aside, then bound": "f2 f0 a f5 r0 r1 r2 t0 t1 t2 R T f6 b f1",
    "set aside while bound": "r0 r1 r2 t0 t1 t2 R T f0 a f5 c a b f1 f2",
}


@pytest.mark.parametrize("steps", ORDERS.values(), ids=ORDERS.keys())
@every
def test_any_order_of_freezing_and_updating_gives_one_value(measures: list[Measure], steps: str) -> None:
    check(follow(build(measures), steps))


@binding
@given(st.randoms())
def test_drawn_orders_give_one_value(measures: list[Measure], random: Any) -> None:
    queues = {"r": ["r0", "r1", "r2", "R"], "t": ["t0", "t1", "t2", "T"], "f": ["f0", "f1", "f2"]}
    random.shuffle(queues["f"])
    letters = [letter for letter, queue in queues.items() for _ in queue]
    random.shuffle(letters)
    metric = follow(build(measures), " ".join(queues[letter].pop(0) for letter in letters))
    assert is_bound(metric) == can_bind(measures)
    check(metric)


@every
def test_what_can_bind_does_and_the_rest_never(measures: list[Measure]) -> None:
    assert is_bound(bound(measures, 0)) == can_bind(measures)


@binding
def test_the_names_of_states_never_change(measures: list[Measure]) -> None:
    metric = build(measures)
    names = list(metric._defaults)
    follow(metric, "r0 t0 f0 r1 t1 r2 t2 R T f1 c x")
    assert list(metric._defaults) == names
    assert list(pickle.loads(pickle.dumps(metric))._defaults) == names
    assert not [name for name in names if any(word in name for word in ("sha", "balls"))]


@binding
def test_forward_gives_the_value_of_the_batch(measures: list[Measure]) -> None:
    value = bound(measures, 3)(batch("fake", 0), real=False)
    assert floats(value) == close(expected(measures, (0,)))


# --- company and copies -----------------------------------------------------------------------------------------------


@binding
def test_in_a_collection_the_leader_alone_is_updated(measures: list[Measure]) -> None:
    collection = MetricCollection({"a": build(measures), "b": build(measures)}, compute_groups=True)
    for role in ("real", "train"):
        for number in range(3):
            if role in build(measures).roles:
                collection.update(batch(role, number), role=role)
    collection.update(batch("fake", 0), real=False)
    assert [len(group) for group in collection.compute_groups.values()] == [2]
    for metric in collection.values():
        assert isinstance(metric, GenerativeMetrics)
        freeze(metric, "real", "train")
    for number in (1, 2):
        collection.update(batch("fake", number), real=False)
    values = floats(collection.compute())
    for prefix in "ab":
        of_one = {key.removeprefix(f"{prefix}_"): v for key, v in values.items() if key.startswith(f"{prefix}_")}
        assert (of_one or values) == close(expected(measures))


@binding
def test_in_a_collection_without_groups(measures: list[Measure]) -> None:
    one, other = bound(measures, 0), bound(measures)
    collection = MetricCollection({"a": one, "b": other}, compute_groups=[["a"], ["b"]])
    collection.update(batch("fake", 1), real=False)
    check(one, (0, 1))
    check(other, (1,))


def pickled(metric: GenerativeMetrics) -> GenerativeMetrics:
    return pickle.loads(pickle.dumps(metric))


def cast(metric: GenerativeMetrics) -> GenerativeMetrics:
    parent = nn.Module()
    parent.metric = metric
    parent.half().to(torch.bfloat16).to("cpu").double()
    metric.set_dtype(torch.float16)
    return metric


def into_fresh(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.persistent(True)
    other = build(metric.measures)
    other.load_state_dict(metric.state_dict(), strict=True)
    return other


def into_a_bound_one(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.persistent(True)
    other = build(metric.measures)
    for role in ("real", "train"):
        add(other, role, 6, 7)
    freeze(other, "real", "train")
    add(other, "fake", 8)
    other.load_state_dict(metric.state_dict(), strict=True)
    return other


def into_an_unbound_one(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.persistent(True)
    other = build(metric.measures)
    for role in ("real", "train", "fake"):
        add(other, role, 6, 7)
    other.load_state_dict(metric.state_dict(), strict=True)
    return other


def synced(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.sync(distributed_available=lambda: True)
    assert metric._is_synced
    metric.unsync()
    return metric


COPIES: list[Callable[[Any], Any]] = [
    pickled,
    copy.deepcopy,
    Metric.clone,
    cast,
    into_fresh,
    into_a_bound_one,
    into_an_unbound_one,
]


@pytest.mark.parametrize("copied", COPIES, ids=lambda f: f.__name__)
@every
def test_copies_are_bound_and_go_on(measures: list[Measure], copied: Any) -> None:
    metric = bound(measures, 0)
    twin = copied(metric)
    assert is_bound(twin) == can_bind(measures)
    add(twin, "fake", 1, 2)
    check(twin)
    check(twin)


@pytest.mark.parametrize("copied", COPIES, ids=lambda f: f.__name__)
@every
def test_copies_say_the_frozen_sides_in_their_state_dict(measures: list[Measure], copied: Any) -> None:
    metric = bound(measures)
    saved = metric.state_dict()
    twin = copied(metric)
    twin.persistent(False)
    again = build(measures)
    again.load_state_dict(twin.state_dict())
    assert saved.keys() == again.state_dict().keys() == twin.state_dict().keys()
    add(again, "fake", 0, 1, 2)
    check(again)


@binding
def test_the_frozen_sides_alone_bind_a_metric_that_has_banked(measures: list[Measure]) -> None:
    saved, metric = bound(measures).state_dict(), build(measures)
    add(metric, "fake", 0, 1)
    metric.load_state_dict(saved, strict=False)
    assert is_bound(metric) == can_bind(measures)
    assert kept_of_fakes(metric) == 0
    add(metric, "fake", 2)
    check(metric)


def saved_unbound(measures: list[Measure], *fakes: int) -> dict[str, Any]:
    """Return what a version that bound nothing at freeze saved."""
    metric = build(measures, bind_limit=0)
    for role in ("real", "train"):
        add(metric, role, 0, 1)
    add(freeze(metric, "real", "train"), "fake", *fakes)
    metric.persistent(True)
    streaming = {slot for role in metric.roles for slot in metric._states.streaming(role)}
    absent = {n for slot, names in metric._layout.names.items() if slot not in streaming for n in names.values()}
    return {name: t for name, t in metric.state_dict().items() if "_prepared_" not in name and name not in absent}


@binding
@pytest.mark.parametrize("own", [(0, 1), (2, 3)], ids=["same side", "another side"])
@pytest.mark.parametrize("fakes", [(), (0, 1)], ids=["no fakes", "fakes"])
def test_what_was_saved_unbound_loads_into_a_bound_metric(measures: list[Measure], own: Any, fakes: Any) -> None:
    saved, metric, whole = saved_unbound(measures, *fakes), build(measures), build(measures)
    for role in ("real", "train"):
        add(metric, role, *own)
        add(whole, role, 0, 1)
    freeze(metric, "real", "train").load_state_dict(saved)
    add(metric, "fake", 2, 3)
    add(whole, "fake", *fakes, 2, 3)
    assert floats(metric.compute()) == pytest.approx(floats(whole.compute()), rel=1e-6)


@binding
def test_what_was_saved_unbound_is_merged_into_a_bound_metric(measures: list[Measure]) -> None:
    metric, whole = build(measures), build(measures)
    for role in ("real", "train"):
        add(metric, role, 0, 1)
        add(whole, role, 0, 1)
    add(freeze(metric, "real", "train"), "fake", 2)
    metric.merge_state(saved_unbound(measures, 0, 1))
    add(whole, "fake", 0, 1, 2)
    assert is_bound(metric) == can_bind(measures)
    assert floats(metric.compute()) == pytest.approx(floats(whole.compute()), rel=1e-6)


@binding
def test_generated_samples_alone_load_into_a_bound_metric(measures: list[Measure]) -> None:
    source = build(measures)
    add(source, "fake", 0, 1)
    source.persistent(True)
    saved = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("fake_")}
    metric = bound(measures, 5)
    metric.load_state_dict(saved, strict=False)
    add(metric, "fake", 2)
    check(metric)


@binding
def test_counts_without_the_side_that_they_are_against_are_refused(measures: list[Measure]) -> None:
    source, metric = bound(measures, 5), bound(measures, 0)
    source.persistent(True)
    saved = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("fake_")}
    with pytest.raises(RuntimeError, match="State"):
        metric.load_state_dict(saved, strict=False)
    check(metric, (0,))


def test_samples_that_were_set_aside_are_put_back_once() -> None:
    """They are no copies: what was added since is in some of their tensors, and not in others."""
    metric = build([FID(), PRDC(k=3)])
    add(metric, "fake", 0)
    samples = metric.set_aside()
    metric.put_back(samples)
    add(metric, "fake", 1)
    with pytest.raises(ValueError, match="put back before"):
        metric.put_back(samples)
    assert metric.num_samples("fake") == 2 * len(batch("fake", 0))


@binding
def test_counts_against_another_side_are_refused(measures: list[Measure]) -> None:
    metric, before = bound(measures, 0), expected(measures, (0,))
    other = build(measures)
    for role in ("real", "train"):
        add(other, role, 4, 5)
    with pytest.raises(RuntimeError, match="counted against a frozen side"):
        metric.load_state_dict(freeze(other, "real", "train").state_dict(), strict=False)
    assert floats(metric.compute()) == close(before)


# --- files ------------------------------------------------------------------------------------------------------------


@every
def test_saved_states_are_merged(measures: list[Measure], tmp_path: Path) -> None:
    for number in range(3):
        bound(measures, number).save_state(tmp_path / f"{number}.safetensors")
    metric = bound(measures)
    merge_states(metric, [tmp_path / f"{number}.safetensors" for number in range(3)])
    check(metric)


@binding
@pytest.mark.parametrize("kept", [[True, False], [False, False], [True, True]])
def test_states_that_kept_features_are_counted_where_they_are_merged(
    measures: list[Measure], kept: list[bool], tmp_path: Path
) -> None:
    for number, keeps in enumerate(kept):
        bound(measures, number, bind_limit=0 if keeps else 1 << 30).save_state(tmp_path / f"{number}.safetensors")
    metric = bound(measures)
    merge_states(metric, [tmp_path / f"{number}.safetensors" for number in range(2)])
    assert kept_of_fakes(metric) == 0
    add(metric, "fake", 2)
    check(metric)


@binding
def test_a_metric_that_keeps_features_refuses_counts_and_says_why(measures: list[Measure], tmp_path: Path) -> None:
    bound(measures, 0).save_state(tmp_path / "counts.safetensors")
    metric = bound(measures, 1, bind_limit=0)
    with pytest.raises(ValueError, match=r"expected features of generated samples.*bind_limit="):
        merge_states(metric, [tmp_path / "counts.safetensors"])
    check(metric, (1,))


@binding
def test_states_of_before_and_after_the_freeze_do_not_mix(measures: list[Measure], tmp_path: Path) -> None:
    before = follow(build(measures), "r0 r1 r2 t0 t1 t2 f0")
    before.save_state(tmp_path / "before.safetensors")
    freeze(before, "real", "train").save_state(tmp_path / "after.safetensors")
    for first, second in (("before", "after"), ("after", "before")):
        metric = build(measures) if first == "before" else bound(measures)
        merge_states(metric, [tmp_path / f"{first}.safetensors"])
        with pytest.raises(ValueError, match=r"same frozen (real|train) side"):
            merge_states(metric, [tmp_path / f"{second}.safetensors"])
        check(metric, (0,))


@pytest.mark.parametrize("measures", [m for m in BINDING if all(one.fixed == "real" for one in m)], ids=named)
def test_a_reference_holds_what_was_prepared(measures: list[Measure], tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "real.safetensors"
    bound(measures, 3).save_reference(path)
    for measure in measures:
        monkeypatch.setattr(type(measure), "prepare", lambda *_: pytest.fail("prepared again"))
    metric = build(measures, reference=path)
    assert is_bound(metric) == can_bind(measures)
    add(metric, "fake", 0, 1, 2)
    monkeypatch.undo()
    check(metric)
    metric.save_reference(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


# --- nothing is kept --------------------------------------------------------------------------------------------------


@binding
def test_of_generated_samples_nothing_is_kept(measures: list[Measure]) -> None:
    metric = follow(build(measures), "f0 f1 f2 r0 r1 r2 t0 t1 t2")
    assert kept_of_fakes(metric) > 0
    freeze(metric, "real", "train")
    assert kept_of_fakes(metric) == 0
    size = len(pickle.dumps(metric))
    held = sum(getattr(metric, name).untyped_storage().nbytes() for name in metric._defaults)
    add(metric, "fake", *range(3, 20))
    assert kept_of_fakes(metric) == 0
    assert sum(getattr(metric, name).untyped_storage().nbytes() for name in metric._defaults) == held
    assert abs(len(pickle.dumps(metric)) - size) < 200  # the counts' and the caches' own digits
    metric.reset()
    assert kept_of_fakes(metric) == 0


# --- what does not bind -----------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """What Ctrl-C raises, which nothing here catches by accident."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted, RuntimeError, MemoryError])
@binding
def test_where_prepare_raises_nothing_is_set(measures: list[Measure], error: Any, monkeypatch: Any) -> None:
    metric = follow(build(measures), "f0 r0 r1 r2 t0 t1 t2")
    before = {name: getattr(metric, name) for name in metric._defaults}

    def fail(*_: Any) -> Any:
        raise error

    fixed = {str(measure.fixed) for measure in measures}
    with monkeypatch.context() as patched:
        patched.setattr(type(measures[-1]), "prepare", fail)
        with pytest.raises(error):
            metric.freeze(str(measures[-1].fixed))
        assert all(getattr(metric, name) is tensor for name, tensor in before.items())
        assert not any(is_bound(metric))
        add(metric, "fake", 1)
    freeze(metric, *fixed)
    add(metric, "fake", 2)
    check(metric)


@pytest.mark.parametrize(
    ("measure", "role", "n"), [(PRDC(k=5, recall=False), "real", 6), (NDB(bins=9), "real", 8), (AuthPct(), "train", 1)]
)
def test_a_side_that_is_too_small_stays_unbound_and_works_later(measure: Measure, role: str, n: int) -> None:
    metric = build([measure])
    metric.update(batch(role, 0)[:n], role=role)
    metric.freeze(role)
    assert is_bound(metric) == [False]
    add(metric, "fake", 0, 1)
    with pytest.raises(NotEnoughSamples):
        metric.compute()
    saved, other = metric.state_dict(), build([measure])
    other.load_state_dict(saved, strict=False)
    assert is_bound(other) == [False]
    enough = build([measure])
    add(enough, role, 0, 1, 2)
    metric.load_state_dict(freeze(enough, role).state_dict(), strict=False)
    assert is_bound(metric) == [True]
    check(metric, (0, 1))


def test_with_a_capacity_nothing_binds() -> None:
    metric = bound([PRDC(k=3, capacity=20, recall=False)], 0)
    assert is_bound(metric) == [False]
    assert metric._layout.bound == (None,)


@binding
def test_beyond_the_limit_it_warns_and_gives_the_same_values(measures: list[Measure]) -> None:
    size = 36 * (4 * 4 + 8 * (1 + any(isinstance(measure, RPrecision) for measure in measures)))  # ids, and captions
    with pytest.warns(UserWarning, match=r"Remedy: bind_limit= of more bytes"):
        metric = bound(measures, 0, bind_limit=size - 1)
    assert not any(is_bound(metric))
    add(metric, "fake", 1, 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*bind_limit")  # said once, when it is frozen
        check(metric)
    assert is_bound(bound(measures, bind_limit=size)) == can_bind(measures)


@pytest.mark.parametrize("measures", NEVER, ids=named)
def test_what_never_binds_keeps_its_bank(measures: list[Measure]) -> None:
    metric = bound(measures, 0, 1, 2)
    assert any(isinstance(s.statistic, Bank) for s in metric._states.streaming("fake"))
    check(metric)


# --- wrappers ---------------------------------------------------------------------------------------------------------


@binding
def test_a_tracker_counts_each_epoch_alone(measures: list[Measure]) -> None:
    tracker = MetricTracker(bound(measures), maximize=True)
    for number in (0, 1):
        tracker.increment()
        tracker.update(batch("fake", number), real=False)
    found = tracker.compute_all()
    for epoch, number in enumerate((0, 1)):
        of_epoch = {key: value[epoch].item() for key, value in found.items()}
        assert of_epoch == close(expected(measures, (number,)))
