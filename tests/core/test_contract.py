"""What every measure and the shell around them promise: one table, one class of promise a test."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import (
    CLASSES,
    MEASURES,
    REDUCTIONS,
    STATISTICS,
    WIDTH,
    WIDTHS,
    draw_features,
    draw_sides,
    fill,
    freeze,
    name_of,
)
from torch import nn
from torchmetrics import Metric, MetricCollection

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.statistics import Bank, Count

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics import Measure, Spec
    from streaming_metrics.statistics import Statistic

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

every_measure = pytest.mark.parametrize("measure", MEASURES, ids=name_of)
ALL = [FID(), KID(subsets=5, subset_size=8), IS(splits=3), PRDC(k=3)]


def build(*measures: Measure, **options: Any) -> GenerativeMetrics:
    options = {"num_features": WIDTH, "num_classes": CLASSES, "widths": WIDTHS} | options
    return GenerativeMetrics(measures or ALL, extractor=None, **options)


def filled(*measures: Measure, **options: Any) -> GenerativeMetrics:
    return fill(build(*measures, **options))


def check_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert {key: value.item() for key, value in one.items()} == {key: value.item() for key, value in other.items()}


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [*STATISTICS, *REDUCTIONS, *MEASURES], ids=repr)
def test_values_are_frozen_equal_and_hashable(value: Any) -> None:
    twin = pickle.loads(pickle.dumps(value))
    assert twin == value
    assert hash(twin) == hash(value)
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, None)


@every_measure
def test_keys_are_known_before_any_data(measure: Measure) -> None:
    metric = filled(measure)
    keys = metric.keys
    values = metric.compute()
    assert tuple(values) == keys
    for key, value in values.items():
        assert re.fullmatch(r"[a-z0-9_]+_features", key)
        assert value.dtype == torch.float64
        assert value.shape == ()


@every_measure
def test_a_measure_alone_is_the_measure_in_company(measure: Measure) -> None:
    company = [other for other in ALL if not set(other.keys) & set(measure.keys)]
    together = filled(measure, *company).compute()
    check_equal({key: together[key] for key in filled(measure).compute()}, filled(measure).compute())


def test_equal_statistics_share_one_state() -> None:
    metric = build(KID(subsets=5, subset_size=8), PRDC(k=3), FID())
    banks = [statistic for statistic in metric._states.local("real", 0).states if isinstance(statistic, Bank)]
    assert banks == [Bank(WIDTH)]


def test_a_number_that_is_not_fid_is_never_called_fid() -> None:
    assert build().keys[:3] == ("fd_features", "kd_features", "kd_std_features")


def test_a_later_measure_with_a_key_that_is_taken_gets_its_parameters() -> None:
    bare, told = ("kd_features", "kd_std_features"), ("kd_subsetsNone_features", "kd_se_subsetsNone_features")
    assert build(KID(), KID(subsets=None)).keys == (*bare, *told)
    with pytest.raises(ValueError, match="Two measures report 'kd_features'"):
        build(KID(), KID(subset_size=1000))


def test_a_measure_without_its_features_is_refused() -> None:
    with pytest.raises(ValueError, match="IS needs logits"):
        build(IS(), num_classes=None)


@every_measure
def test_signatures_tell_parameters(measure: Measure) -> None:
    metric = filled(measure)
    counts = "".join(f"|{role}:40" for role in metric.roles)
    line = re.sub(r"\|captions:[0-9a-f]{8}(?=\|fp32\|)", "", metric.signature())
    assert line.startswith(f"{measure.describe()}|ext:features-6|resize:none{counts}|fp32|v")


# --- the laws, on one rank --------------------------------------------------------------------------------------------


def check_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], measure: Measure) -> None:
    found, expected = ({key: value.item() for key, value in values.items()} for values in (one, other))
    assert found == pytest.approx(expected, **MEASURES[measure])


def shuffled(features: Features, seed: int) -> list[Features]:
    """Return features in three batches, one of them small, in another order."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    return [features[rows] for rows in order.tensor_split([1, 23])]


@every_measure
def test_batches_and_their_order_do_not_matter(measure: Measure) -> None:
    metric = build(measure)
    batches = [(role, batch) for role, side in draw_sides(metric).items() for batch in shuffled(side, seed=5)]
    for role, batch in reversed(batches):
        metric.update(batch, role=role)
    check_close(metric.compute(), filled(measure).compute(), measure)


@every_measure
def test_a_merge_of_parts_is_the_whole(measure: Measure) -> None:
    parts = [build(measure) for _ in range(3)]
    for role, side in draw_sides(parts[0]).items():
        for part, batch in zip(parts, shuffled(side, seed=6)):
            part.update(batch, role=role)
    whole = parts.pop()
    for part in parts:
        whole.merge_state(part)
    check_close(whole.compute(), filled(measure).compute(), measure)


@every_measure
def test_a_merge_of_parts_counted_against_one_frozen_side_is_the_whole(measure: Measure) -> None:
    parts = [build(measure) for _ in range(3)]
    sides = draw_sides(parts[0])
    for part, batch in zip(parts, shuffled(sides["fake"], seed=8)):
        for role, side in sides.items():
            if role != "fake":
                part.update(side, role=role)
        freeze(part)
        part.update(batch, real=False)
    whole = parts.pop()
    for part in parts:
        whole.merge_state(part)
    check_close(whole.compute(), filled(measure).compute(), measure)


@every_measure
def test_a_frozen_side_gives_the_same_number(measure: Measure) -> None:
    expected = filled(measure).compute()
    late, early = filled(measure), build(measure)
    sides = draw_sides(early)
    for role, side in sides.items():
        if role != "fake":
            early.update(side, role=role)
    for metric in (late, early):
        freeze(metric)
    for batch in shuffled(sides["fake"], seed=7):
        early.update(batch, real=False)
    for metric in (late, early, pickled(early), saved_and_loaded(early), copy.deepcopy(late)):
        check_close(metric.compute(), expected, measure)
    early.reset()
    early.update(sides["fake"], real=False)
    check_close(early.compute(), expected, measure)


# --- the life of a metric ---------------------------------------------------------------------------------------------


def pickled(metric: GenerativeMetrics) -> GenerativeMetrics:
    return pickle.loads(pickle.dumps(metric))


def saved_and_loaded(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.persistent(True)
    buffer = io.BytesIO()
    torch.save(metric.state_dict(), buffer)
    buffer.seek(0)
    fresh = build(*metric.measures)
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    return fresh


def merged(metric: GenerativeMetrics) -> GenerativeMetrics:
    fresh = build(*metric.measures)
    fresh.merge_state(metric)
    return fresh


def cast(metric: GenerativeMetrics) -> GenerativeMetrics:
    parent = nn.Module()
    parent.metric = metric
    parent.half()
    parent.to(torch.bfloat16)
    parent.double()
    metric.half()
    metric.set_dtype(torch.float16)
    return metric


COPIES: list[Callable[[GenerativeMetrics], GenerativeMetrics]] = [
    pickled,
    copy.deepcopy,
    Metric.clone,
    saved_and_loaded,
    merged,
    cast,
]


@pytest.mark.parametrize("copied", COPIES, ids=lambda f: f.__name__)
def test_copies_compute_the_same_and_go_on(copied: Callable[[GenerativeMetrics], GenerativeMetrics]) -> None:
    metric = filled()
    expected = metric.compute()
    twin = copied(metric)
    check_equal(twin.compute(), expected)
    more = draw_features(3).having(index=torch.arange(40, 80))
    whole = filled()
    for grown in (twin, whole):
        grown.update(more, real=False)
    check_equal(twin.compute(), whole.compute())


def test_a_copy_shares_no_memory_with_its_original() -> None:
    for copied in COPIES[:-1]:
        metric = filled()
        expected = metric.compute()
        twin = copied(metric)
        twin.update(draw_features(3).having(index=torch.arange(40, 80)), real=False)
        metric.update(draw_features(4).having(index=torch.arange(40, 80)), real=True)
        again = filled()
        again.update(draw_features(4).having(index=torch.arange(40, 80)), real=True)
        check_equal(metric.compute(), again.compute())
        assert expected["fd_features"] != metric.compute()["fd_features"]


def test_compute_changes_nothing() -> None:
    metric = filled()
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    check_equal(metric.compute(), metric.compute())
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())


def test_reset_forgets() -> None:
    metric = filled()
    expected = metric.compute()
    metric.reset()
    assert metric.num_samples("real") == metric.num_samples("fake") == 0
    with pytest.raises(NotEnoughSamples):
        metric.compute()
    metric.update(draw_features(1), real=True)
    metric.update(draw_features(2, shift=0.3), real=False)
    check_equal(metric.compute(), expected)


def test_frozen_real_side_is_kept_and_closed() -> None:
    metric = filled()
    expected = metric.compute()
    metric.freeze_real()
    check_equal(metric.compute(), expected)
    metric.reset()
    with pytest.raises(RuntimeError, match="frozen reference"):
        metric.update(draw_features(1), real=True)
    metric.update(draw_features(2, shift=0.3), real=False)
    check_equal(metric.compute(), expected)
    twin = build()
    twin.load_state_dict(metric.state_dict())
    assert twin.is_frozen
    twin.update(draw_features(2, shift=0.3), real=False)
    check_equal(twin.compute(), expected)


def test_frozen_sides_merge_only_when_equal() -> None:
    one, other = filled(), filled()
    one.freeze_real()
    with pytest.raises(ValueError, match="same frozen real side"):
        one.merge_state(other)
    other.freeze_real()
    one.merge_state(other)
    assert (one.num_samples("real"), one.num_samples("fake")) == (40, 80)
    stranger = build()
    stranger.update(draw_features(99), real=True)
    stranger.freeze_real()
    with pytest.raises(ValueError, match="same frozen real side"):
        one.merge_state(stranger)


def test_reference_round_trip(tmp_path: Any) -> None:
    metric = filled()
    metric.save_reference(tmp_path / "real.safetensors")
    again = build(reference=tmp_path / "real.safetensors")
    again.update(draw_features(2, shift=0.3), real=False)
    check_equal(again.compute(), metric.compute())
    with pytest.raises(ValueError, match=r"features-6-5.*features-7-5|features-7-5.*features-6-5"):
        build(reference=tmp_path / "real.safetensors", num_features=7)


def test_against_a_reference_nothing_generated_is_kept(tmp_path: Any) -> None:
    kept = filled(PRDC(k=3, recall=False))
    kept.save_reference(tmp_path / "real.safetensors")
    streamed = build(PRDC(k=3, recall=False), reference=tmp_path / "real.safetensors")
    streamed.update(draw_features(2, shift=0.3), real=False)
    check_equal(streamed.compute(), kept.compute())
    size = sum(state.nbytes for state in streamed.metric_state.values())
    streamed.update(draw_features(3, n=400), real=False)
    assert sum(state.nbytes for state in streamed.metric_state.values()) == size
    assert streamed.signature().startswith("prdc(k=3,recall=False)|")


def test_loading_checks_shapes_and_loads_all_or_nothing() -> None:
    metric = filled()
    metric.persistent(True)
    saved = metric.state_dict()
    broken = saved | {name: state[:-1] for name, state in saved.items() if "fake_moments" in name}
    target = filled(*ALL)
    expected = target.compute()
    with pytest.raises(RuntimeError, match=r"moments_6.moments: expected torch.float64 of shape \(7, 7\)"):
        target.load_state_dict(broken)
    check_equal(target.compute(), expected)


# --- with torchmetrics ------------------------------------------------------------------------------------------------


def test_forward_returns_the_batch_value_and_adds_the_batch() -> None:
    metric = build()
    assert metric(draw_features(1), real=True) is None
    value = metric(draw_features(2, shift=0.3), real=False)
    check_equal(value, filled().compute())
    check_equal(metric.compute(), filled().compute())


def test_in_a_collection_with_compute_groups() -> None:
    collection = MetricCollection(
        {"a": build(FID()), "b": build(FID(), KID(subsets=5, subset_size=8)), "c": build(FID())}
    )
    for turn in range(2):
        collection.update(draw_features(1 + 2 * turn), real=True, index=torch.arange(40) + 40 * turn)
        collection.update(draw_features(2 + 2 * turn, shift=0.3), real=False, index=torch.arange(40) + 40 * turn)
    assert {frozenset(group) for group in collection.compute_groups.values()} == {frozenset("ac"), frozenset("b")}
    assert len({value.item() for key, value in collection.compute().items() if "fd" in key}) == 1
    collection.reset()


def test_different_extractors_never_share_states() -> None:
    one, other = build(FID()), build(FID(), num_classes=None)
    assert not set(one.metric_state) & set(other.metric_state)


def test_a_metric_registers_nothing_on_its_parent() -> None:
    parent = nn.Module()
    parent.metric = filled()
    assert not list(parent.parameters())
    assert not list(parent.buffers())
    assert not parent.state_dict()


@pytest.mark.parametrize("option", ["dist_sync_fn", "dist_sync_on_step"])
def test_other_ways_to_sync_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        build(**{option: True})


def test_the_private_names_that_are_overridden_exist_in_torchmetrics() -> None:
    for name in ("_wrap_update", "_wrap_compute", "_sync_dist", "_reduce_states", "_load_from_state_dict", "_apply"):
        assert callable(getattr(Metric, name))
    assert {"_defaults", "_persistent", "_update_count", "_forward_cache", "_computed", "_cache", "_is_synced"} <= set(
        vars(build())
    )


# --- bad input: a clear error, and nothing lost -----------------------------------------------------------------------

NAN = draw_features(3)
assert NAN.pool is not None
NAN.pool[[3, 5]] = torch.nan

BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (
        draw_features(3, n=4).pool[:, :5],
        {},
        ValueError,
        r"fake batch \(update 2\): expected pool of shape \(N, 6\), got \(4, 5\)",
    ),  # pyright: ignore
    (torch.zeros(4, WIDTH, dtype=torch.int64), {}, TypeError, "expected floating-point pool, got torch.int64"),
    (torch.zeros(WIDTH), {}, ValueError, r"expected pool of shape \(N, 6\), got \(6,\)"),
    (
        NAN,
        {},
        ValueError,
        r"fake batch \(update 2\): 2 of 40 samples have non-finite pool \(or beyond 1e\+15\); nothing was added",
    ),
    (torch.zeros(4, WIDTH), {}, ValueError, "expected logits"),
    *(
        (
            Features(torch.zeros(4, WIDTH), torch.rand(4, CLASSES).softmax(1).to(dtype)),
            {},
            ValueError,
            "expected logits, got rows that are not negative and add up to 1",
        )
        for dtype in (torch.float32, torch.float16)
    ),
    (Features(torch.zeros(4, WIDTH), torch.zeros(3, CLASSES)), {}, ValueError, "one row a sample"),
    ([1, 2], {}, TypeError, "Expected a tensor of features"),
    (draw_features(3), {"index": torch.arange(40.0)}, TypeError, "int64"),
    (draw_features(3), {"index": torch.arange(39)}, ValueError, r"expected shape \(40,\)"),
    (draw_features(3), {"index": torch.arange(40) - 1}, ValueError, r"expected ids in \[0, 2\*\*40\)"),
]


@pytest.mark.parametrize(("given", "options", "error", "message"), BAD, ids=[message[:40] for *_, message in BAD])
def test_bad_batches_are_refused_and_nothing_is_lost(
    given: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    metric = filled()
    before, expected = {name: state.clone() for name, state in metric.metric_state.items()}, metric.compute()
    with pytest.raises(error, match=message):
        metric.update(given, real=False, **options)
    with pytest.raises(error, match=message):
        metric(given, real=False, **options)
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())
    check_equal(metric.compute(), expected)
    assert metric.update_count == 2


def test_samples_given_twice_are_refused_at_compute() -> None:
    metric = filled()
    metric.update(draw_features(3), real=False)
    with pytest.raises(ValueError, match=r"40 fake samples came twice, e\.g\. index 0"):
        metric.compute()


def test_inference_mode_leaves_normal_states() -> None:
    metric = build()
    with torch.inference_mode():
        metric.update(draw_features(1), real=True)
        metric.update(draw_features(2, shift=0.3), real=False)
        inside = metric.compute()
    assert not any(state.is_inference() for state in metric.metric_state.values())
    check_equal(metric.compute(), inside)


def test_an_empty_batch_adds_nothing() -> None:
    metric = filled()
    expected = metric.compute()
    metric.update(draw_features(3)[:0], real=False)
    check_equal(metric.compute(), expected)


def test_a_parent_saves_and_loads_a_frozen_real_side() -> None:
    parents = [nn.ModuleDict({"metric": metric}) for metric in (filled(), build())]
    parents[0]["metric"].freeze_real()  # pyright: ignore
    saved = parents[0].state_dict()
    assert all(key.startswith("metric.real_") for key in saved)
    assert len(saved) > 3
    parents[1].load_state_dict(saved)
    assert parents[1]["metric"].is_frozen


def test_states_made_in_inference_mode_are_normal() -> None:
    with torch.inference_mode():
        metric = build()
        metric.reset()
        metric.merge_state(filled())
        metric.load_state_dict(metric.state_dict())
        metric.freeze_real()
    assert not any(state.is_inference() for state in metric.metric_state.values())
    metric.update(draw_features(3).having(index=torch.arange(40, 80)), real=False)


def test_forward_in_a_collection_counts_once() -> None:
    collection = MetricCollection({"a": build(FID()), "b": build(FID())})
    for real in (True, False):
        collection.update(draw_features(int(real)), real=real)
    collection(draw_features(5), real=False)
    assert [metric.num_samples("fake") for metric in collection.values()] == [80, 80]


def test_one_part_of_a_frozen_side_is_not_taken_for_the_whole() -> None:
    metric = filled(PRDC(k=3))
    vars(metric)[metric._layout.frozen["real"]] = torch.tensor([1, 1, 2])
    with pytest.raises(RuntimeError, match="saved as 2 parts"):
        metric.compute()


def test_a_statistic_whose_name_is_no_identifier_is_refused() -> None:
    @dataclasses.dataclass(frozen=True)
    class Named(Count):
        @property
        def name(self) -> str:
            return "count_2.5"

    @dataclasses.dataclass(frozen=True)
    class Counted(FID):
        label = "counted"

        def statistics(self, spec: Spec) -> dict[str, tuple[Statistic, ...]]:  # noqa: ARG002
            return {"fake": (Named(),)}

    with pytest.raises(ValueError, match=r"Named\.name: expected an identifier, got 'count_2\.5'\. Remedy"):
        build(Counted())
