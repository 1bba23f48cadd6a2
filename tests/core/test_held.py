"""A batch whose device has yet to say that it is good is held back: all of it is in what is read next, or none, told.

The device is simulated: it says nothing until it is waited for.
"""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import CLASSES, LABELS, SAMPLES, WIDTH, draw_features, draw_side, fill
from extractor_table import Pixels
from host_reads import HostReads, answer_late
from torchmetrics import MetricCollection

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, IntraFID
from streaming_metrics.core.drop_in_network import _as_uint8
from streaming_metrics.core.saved_states import merge_states
from streaming_metrics.deferred import Check, collecting
from streaming_metrics.image import FrechetInceptionDistance
from streaming_metrics.statistics.bank import check_labels
from streaming_metrics.statistics.index import check_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Ranks
    from host_reads import LateAnswer

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

ALL = [FID(), KID(subsets=5, subset_size=8), IS(splits=3), PRDC(k=3)]
BEFORE = "the update before this call: "
NON_FINITE = f"{BEFORE}fake batch .* 1 of 40 samples have non-finite pool"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[LateAnswer]:
    return answer_late(monkeypatch)


def build(*measures: Any) -> GenerativeMetrics:
    return GenerativeMetrics(measures or ALL, extractor=None, num_features=WIDTH, num_classes=CLASSES)


def batch(seed: int = 0, **columns: Any) -> Features:
    ids = torch.arange(SAMPLES) + SAMPLES * (seed + 1)
    return draw_side("fake", seed + 1).having(index=ids, **columns)


def bad() -> Features:
    features = batch(7)
    features.pool[3, 2] = torch.nan
    return features


def scores(metric: Any) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


@pytest.fixture(scope="module")
def expected() -> dict[str, float]:
    """Scores of the first batches, and one more, where no device is late."""
    metric = fill(build())
    metric.update(batch(), real=False)
    return scores(metric)


# --- orders -----------------------------------------------------------------------------------------------------------


def test_an_update_asks_nothing_of_the_device_and_the_next_one_or_a_reading_does(answers: list[LateAnswer]) -> None:
    metric = fill(build())
    metric.settle()
    with HostReads() as reads:
        metric.update(batch(), real=False)
    assert (reads.asked, [answer.waits for answer in answers]) == ([], [1, 1, 0])
    assert metric.num_samples("fake") == 2 * SAMPLES
    assert [answer.waits for answer in answers] == [1, 1, 1]


def test_what_is_held_back_is_in_the_scores(answers: list[LateAnswer], expected: dict[str, float]) -> None:
    metric = fill(build())
    metric.update(batch(), real=False)
    assert scores(metric) == expected
    assert len(answers) == 3


def test_a_bad_batch_is_told_by_the_next_update_and_neither_is_added(
    answers: list[LateAnswer], expected: dict[str, float]
) -> None:
    metric = fill(build())
    metric.update(bad(), real=False)
    with pytest.raises(ValueError, match=f"{NON_FINITE}.*This batch was not added either"):
        metric.update(batch(), real=False)
    assert metric.num_samples("fake") == SAMPLES
    metric.update(batch(), real=False)
    assert scores(metric) == expected
    assert answers


@pytest.mark.usefixtures("answers")
def test_ids_follow_what_was_added() -> None:
    metric = fill(build())
    for features in (batch(), bad(), batch(1), batch(2)):
        with suppress(ValueError):  # of the batch before
            metric.update(features.having(index=None), real=False)
    bank = next(state for name, state in metric.metric_state.items() if "fake_bank" in name and "index" in name)
    assert len(bank.unique()) == len(bank) == 3 * SAMPLES  # pyright: ignore


@pytest.mark.usefixtures("answers")
def test_a_batch_that_is_refused_at_once_leaves_the_one_before_it_held() -> None:
    metric = fill(build())
    metric.update(batch(), real=False)
    with pytest.raises(ValueError, match="expected pool of shape"):
        metric.update(Features(torch.zeros(2, 1)), real=False)
    assert metric.num_samples("fake") == 2 * SAMPLES


# --- readings ---------------------------------------------------------------------------------------------------------


def collection_of(metric: GenerativeMetrics) -> Any:
    return MetricCollection({"one": metric, "other": metric.clone()})


def merge_saved(metric: GenerativeMetrics, path: Path) -> None:
    build().save_state(path / "none")
    merge_states(metric, [path / "none"])


READINGS: dict[str, Callable[[GenerativeMetrics, Path], Any]] = {
    "compute": lambda metric, _: metric.compute(),
    "compute_possible": lambda metric, _: metric.compute_possible(),
    "forward": lambda metric, _: metric(batch(), real=False),
    "num_samples": lambda metric, _: metric.num_samples("real"),
    "update_called": lambda metric, _: metric.update_called,
    "signature": lambda metric, _: metric.signature(),
    "distinct": lambda metric, _: metric.distinct("fake"),
    "samples_digest": lambda metric, _: metric.samples_digest("fake"),
    "inspector": lambda metric, _: metric.inspector(),
    "generated_for": lambda metric, _: metric.generated_for("fd_features"),
    "metric_state": lambda metric, _: metric.metric_state,
    "state_dict": lambda metric, _: metric.state_dict(),
    "load_state_dict": lambda metric, _: metric.load_state_dict({}, strict=False),
    "save_state": lambda metric, path: metric.save_state(path / "state"),
    "save_reference": lambda metric, path: metric.save_reference(path / "real.safetensors"),
    "pickle": lambda metric, _: pickle.dumps(metric),
    "deepcopy": lambda metric, _: copy.deepcopy(metric),
    "clone": lambda metric, _: metric.clone(),
    "to": lambda metric, _: metric.to("cpu"),
    "merge_state": lambda metric, _: metric.merge_state(build()),
    "merged_into": lambda metric, _: build().merge_state(metric),
    "merge_states": merge_saved,
    "freeze": lambda metric, _: metric.freeze_real(),
    "settle": lambda metric, _: metric.settle(),
    "a state": lambda metric, _: [getattr(metric, name) for name in metric._defaults],
}


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_tells_of_a_bad_batch_once_and_has_nothing_of_it(reading: str, tmp_path: Path) -> None:
    metric, untouched = fill(build()), fill(build())
    metric.update(bad(), real=False)
    with pytest.raises(ValueError, match=NON_FINITE):
        READINGS[reading](metric, tmp_path)
    for one in (metric, untouched):
        READINGS[reading](one, tmp_path)
    states, others = metric.metric_state, untouched.metric_state
    assert all(torch.equal(state, others[name]) for name, state in states.items())  # pyright: ignore
    assert metric.update_count == untouched.update_count


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_hold_a_good_batch_as_the_original_does(
    copied: Callable[[Any], Any], expected: dict[str, float]
) -> None:
    metric = fill(build())
    metric.update(batch(), real=False)
    assert scores(copied(metric)) == expected == scores(metric)


@pytest.mark.usefixtures("answers")
def test_a_module_that_holds_the_metric_can_be_walked_without_a_wait() -> None:
    module = torch.nn.ModuleList([metric := fill(build())])
    metric.update(batch(), real=False)
    with HostReads() as reads:
        assert metric in [*module.modules()]
        module.train()
    assert reads.asked == []
    assert metric._waiting is not None


@pytest.mark.usefixtures("answers")
def test_metrics_that_share_states_share_the_batch_too(expected: dict[str, float]) -> None:
    collection = MetricCollection({"a": build(FID(), PRDC(k=3)), "b": build(PRDC(k=3), FID())}, compute_groups=True)
    for role in ("real", "fake"):
        collection.update(draw_side(role), role=role)
    collection.update(batch(), real=False)
    found = {key.removeprefix("a_").removeprefix("b_"): value.item() for key, value in collection.compute().items()}
    assert found == {key: expected[key] for key in found}


# --- reset, and frozen sides ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("last", [batch, bad])
def test_reset_forgets_it_unheard(last: Callable[[], Features]) -> None:
    metric = fill(build())
    metric.update(last(), real=False)
    metric.reset()
    assert [metric.num_samples(role) for role in metric.roles] == [0, 0]
    assert metric.update_count == 0
    assert scores(fill(metric)) == scores(fill(build()))


def test_reset_keeps_what_a_drop_in_is_told_to_keep(answers: list[LateAnswer]) -> None:
    metric = FrechetInceptionDistance(Pixels(), reset_real_features=False)
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    metric.update(images, real=True)
    metric.reset()
    assert metric.real_features_num_samples == len(images)
    assert len(answers) == 1


@pytest.mark.usefixtures("answers")
def test_freezing_replays_it(expected: dict[str, float]) -> None:
    metric = fill(build())
    metric.update(batch(), real=False)
    metric.freeze_real()
    assert scores(metric) == pytest.approx(expected, rel=1e-9)


# --- several roles, networks and checks -------------------------------------------------------------------------------


@pytest.mark.usefixtures("answers")
def test_batches_of_roles_and_networks_in_turn() -> None:
    widths = {"a": WIDTH, "b": WIDTH}
    metric = GenerativeMetrics([FID(on="a"), PRDC(on="b", k=3)], extractor=None, num_features=widths)
    for role in ("real", "fake", "real"):
        features = draw_side(role).having(index=None)
        metric.update({"a": features, "b": features}, role=role)
    assert {role: metric.num_samples(role) for role in metric.roles} == {"real": 2 * SAMPLES, "fake": SAMPLES}
    good, poisoned = (make().having(index=None, hashes=None) for make in (lambda: batch(7), bad))
    metric.update({"a": good, "b": poisoned}, real=True)
    with pytest.raises(ValueError, match=f"{BEFORE}real batch .* non-finite pool"):
        metric.update({"a": good, "b": good}, real=False)
    assert {role: metric.num_samples(role) for role in metric.roles} == {"real": 2 * SAMPLES, "fake": SAMPLES}


WRONG: dict[str, tuple[Callable[[], Features], str]] = {
    "labels": (lambda: batch(labels=torch.full((SAMPLES,), LABELS)), r"labels: expected classes in \[0, 4\), got 4"),
    "index": (
        lambda: batch().having(index=torch.arange(SAMPLES) - 1),
        r"index: expected ids in \[0, 2\*\*40\), got -1",
    ),
    "lost": (lambda: batch(pool=batch().pool.double() + 1e12), "lost in float32"),
}


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("wrong", WRONG)
def test_whatever_is_wrong_is_told(wrong: str) -> None:
    make, told = WRONG[wrong]
    metric = build(IntraFID(classes=LABELS))
    metric.update(make(), real=False)
    with pytest.raises(ValueError, match=BEFORE + ".*" + told):
        metric.compute()
    assert metric.num_samples("fake") == 0


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("pixels", "told"),
    [(255.0, r"value_range=\(0, 1\), got 0 to 255"), (float("nan"), "got 1 of 1536 NaN or infinite")],
)
def test_pixels_of_another_range_are_told(pixels: float, told: str) -> None:
    metric = GenerativeMetrics([FID()], Pixels(), tag="pixels", num_features=12, value_range=(0, 1))
    images = torch.zeros(2, 3, 16, 16)
    images[1, 2, 0, 5] = pixels
    metric.update(images, real=False)
    images.zero_()
    with pytest.raises(ValueError, match=BEFORE + ".*" + told):
        metric.compute()


@pytest.mark.usefixtures("answers")
def test_pixels_of_a_drop_in_are_told_in_its_own_terms() -> None:
    checks: list[Check] = []
    with collecting(checks):
        _as_uint8(torch.full((2, 3, 4, 4), 255.0), normalize=True)
    assert [str(check.why()).partition(". Remedy")[0] for check in checks] == [
        "normalize=True: expected floats in [0, 1], got 255 to 255"
    ]


@pytest.mark.usefixtures("answers")
def test_what_was_given_may_be_written_over(expected: dict[str, float]) -> None:
    """A network's static outputs are, by its next pass."""
    metric, given = fill(build()), batch()
    metric.update(given, real=False)
    for column in given.columns().values():
        column.zero_()
    assert scores(metric) == expected


@pytest.mark.usefixtures("answers")
def test_places_that_are_still_to_be_checked_lie_in_their_tables() -> None:
    """A GPU that is given others stops for good."""
    wrong = torch.tensor([-1, 2, 1 << 50])
    with collecting([]):
        assert check_labels(wrong, 3, LABELS).tolist() == [0, 2, LABELS - 1]
        assert check_index(wrong, 3).tolist() == [0, 2, (1 << 40) - 1]


# --- ranks ------------------------------------------------------------------------------------------------------------


def fails_on_one(group: Any, rank_batches: int) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        answer_late(patch)
        metric = GenerativeMetrics(
            [FID()], extractor=None, num_features=WIDTH, process_group=group, name="held", timeout=20
        )
        metric.update(draw_features(1), real=True)
        for number in range(rank_batches):
            metric.update((bad() if number == 1 else batch()).having(index=None), real=False)
        told = []
        for _ in range(2):
            try:
                told.append(str(metric.num_samples("fake")) if metric.compute() else "")
            except (ValueError, RuntimeError) as error:
                told.append(f"{type(error).__name__}: {error}")
        return told


def test_a_bad_last_batch_of_one_rank_is_told_on_all_and_the_next_compute_is_of_the_rest(ranks: Ranks) -> None:
    first, second = ranks.run(2, fails_on_one, each=[2, 1])
    assert first[0].startswith(f"ValueError: {BEFORE}fake batch")
    assert second[0].startswith(f"RuntimeError: compute(): rank 0 raised: {BEFORE}fake batch")
    assert (first[1], second[1]) == (str(SAMPLES), str(SAMPLES))
