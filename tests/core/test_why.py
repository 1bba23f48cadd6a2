"""Why a distance is what it is, read off a metric: of whatever measures keep, on any ranks, bound or not."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal

from streaming_metrics import FID, KID, PRDC, AuthPct, Features, GenerativeMetrics, IntraFID, Modes

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

    from streaming_metrics import Measure

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

WIDTH, CLASSES = 6, 4
CENTRES = 3 * normal(9, CLASSES, WIDTH)
LABELS, FAKE_LABELS = torch.arange(240) % CLASSES, torch.arange(160) % CLASSES
REAL, FAKE = normal(0, 240, WIDTH) + CENTRES[LABELS], normal(1, 160, WIDTH) + CENTRES[FAKE_LABELS]
FAKE[FAKE_LABELS == 2] += 2
IDS = torch.arange(160) * 4 + 100  # one of four ids: of one label each
TRAIN = torch.cat([FAKE[:5] + 1e-3, normal(3, 80, WIDTH)])
READINGS = ("explained", "directions", "class_distances", "copies")


def filled(measures: Any, freeze: bool = False, rows: slice = slice(None), **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics(list(measures), None, num_features=WIDTH, **options)
    sides = {"real": (REAL, torch.arange(240), LABELS), "fake": (FAKE, IDS, FAKE_LABELS)}
    sides |= {"train": (TRAIN, torch.arange(85), torch.zeros(85, dtype=torch.int64))} if "train" in metric.roles else {}
    for role in sorted(sides, reverse=True):
        if freeze and role == "fake":
            for other in sides.keys() - {"fake"}:
                metric.freeze(other)
        features, index, labels = (column[rows] for column in sides[role])
        metric.update(Features(features, index=index, labels=labels), role=role)
    return metric


def parts(value: Any) -> list[Any]:
    """Return the numbers of a reading, one after another."""
    if is_dataclass(value):
        return [part for field in fields(value) for part in parts(getattr(value, field.name))]
    return [part for one in value for part in parts(one)] if isinstance(value, tuple) else [value]


def same(one: Any, other: Any) -> bool:
    return len(parts(one)) == len(parts(other)) and all(
        np.allclose(a, b, atol=1e-6) if isinstance(a, (torch.Tensor, np.ndarray, float)) else a == b
        for a, b in zip(parts(one), parts(other))
    )


def test_each_reading_is_made_of_whatever_is_kept() -> None:
    """A reservoir, a bank, a bank with labels: the same contributions of the same samples."""
    found = [
        filled(measures).inspector().explained()
        for measures in ([FID(se=True)], [FID(), PRDC(k=3)], [FID(), KID(subset_size=9)], [FID(), IntraFID(CLASSES)])
    ]
    for one in found:
        assert one is not None
        assert one.fake is not None
        assert one.real is not None
        assert same(one.fake, found[0].fake)  # pyright: ignore[reportOptionalMemberAccess]
        assert same(one.real, found[0].real)  # pyright: ignore[reportOptionalMemberAccess]
    assert [one is not None and one.groups is not None for one in found] == [False, False, False, True]


def test_contributions_are_the_evidence_of_the_score() -> None:
    metric = filled([FID(se=True)])
    metric.compute()
    (evidence,) = metric.evidence.values()
    found = metric.inspector().explained()
    assert found is not None
    for told, known in ((found.fake, evidence.fake), (found.real, evidence.real)):
        assert told is not None
        assert known is not None
        assert told.index.tolist() == known.index.tolist()
        np.testing.assert_allclose(told.values, (known.values - known.values.mean()) / known.num_samples, atol=1e-9)


def test_other_samples_have_contributions_too() -> None:
    """A second stream from the same seeds, where a bound measure has kept nothing of the first."""
    metric, kept = filled([FID(), Modes(4)], freeze=True), filled([FID(), Modes(4)])
    inspector = metric.inspector()
    told, known = inspector.explained(), kept.inspector().explained()
    assert told is not None
    assert told.fake is None
    assert inspector.difference is not None
    psi = inspector.difference.coupling.of_fake(FAKE).influence
    assert known is not None
    assert known.fake is not None
    torch.testing.assert_close((psi - psi.mean()) / 160, known.fake.values, rtol=1e-6, atol=1e-9)


def test_moments_alone_show_directions_without_pictures() -> None:
    found = filled([FID()]).inspector().directions()
    assert found is not None
    assert found.real_examples.shape == found.fake_examples.shape == (WIDTH, 0)
    assert found.distance == pytest.approx(found.shift + found.outside + float(found.parts.sum()))


def test_labels_by_id_stand_for_those_that_are_not_kept() -> None:
    by_id = torch.zeros(740, dtype=torch.int64)
    by_id[IDS] = FAKE_LABELS
    labels = {"real": LABELS, "fake": by_id}
    plain, labelled = filled([FID(), PRDC(k=3)]).inspector(), filled([FID(), Modes(classes=CLASSES)]).inspector()
    assert plain.class_distances() is None
    assert same(plain.class_distances(labels), labelled.class_distances())
    assert same(plain.explained(labels=labels), labelled.explained())
    assert same(labelled.explained(labels={"fake": by_id * 0}), labelled.explained())
    told = labelled.explained()
    assert told is not None
    assert told.groups is not None
    assert int(told.groups.order[0]) == 2


@pytest.mark.parametrize("freeze", [False, True])
def test_copies_are_what_is_not_authentic(freeze: bool) -> None:
    metric = filled([AuthPct(), FID(se=True)], freeze)
    found = metric.inspector().copies()
    assert found is not None
    assert (found.role, found.num_train) == ("train", 85)
    assert 100 * found.authentic == pytest.approx(float(metric.compute()["authpct_features"]))
    low, high = found.interval
    assert low < found.authentic < high
    assert found.nearest[found.closest(5)].sort().values.tolist() == list(range(5))
    assert found.fake[found.closest(9, among=IDS[3:5])].sort().values.tolist() == IDS[3:5].tolist()


@pytest.mark.parametrize("measures", [[FID(se=True, cluster=3)], [FID(se=True, cluster=3), PRDC(k=3)]], ids=str)
@pytest.mark.parametrize("ids", [torch.arange(159), None], ids=["ids", "anonymous"])
def test_prompts_are_those_of_the_clusters(measures: list[Measure], ids: torch.Tensor | None) -> None:
    """Whichever measure keeps the rows, and where nobody gave ids: their mark is no multiple of a cluster."""
    metric = GenerativeMetrics(measures, None, num_features=WIDTH)
    metric.update(REAL, real=True)
    metric.update(FAKE[:159], real=False, index=ids)
    found = metric.inspector().explained()
    assert found is not None
    assert found.groups is not None
    assert found.groups.kind == "prompt"
    assert found.groups.table.raw.counts.tolist() == [3] * 53
    places = found.groups.examples & (2**40 - 1)
    assert (places // 3 == places[:, :1] // 3).all()


def unlabelled(group: Any, rows: slice) -> bool:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], None, num_features=WIDTH, process_group=group)
    for real, features in ((True, REAL), (False, FAKE)):
        metric.update(features[rows], real=real)
    found = metric.inspector().explained(labels={"fake": FAKE_LABELS, "real": LABELS})
    return found is not None and found.groups is None


def test_labels_by_id_are_none_on_any_rank_where_one_has_ids_that_nobody_gave(ranks: Ranks) -> None:
    assert ranks.run(2, unlabelled, each=[slice(0, 50), slice(50, 160)]) == [True, True]


def test_without_training_samples_real_ones_stand_for_them() -> None:
    found = filled([PRDC(k=3)]).inspector().copies()
    assert found is not None
    assert (found.role, found.num_train) == ("real", 240)
    distances = torch.cdist(FAKE.double(), REAL.double())
    own = torch.cdist(REAL.double(), REAL.double()).fill_diagonal_(torch.inf).min(1).values
    torch.testing.assert_close(found.ratio, distances.min(1).values / own[distances.argmin(1)], rtol=1e-5, atol=1e-8)


def test_without_fid_there_is_no_distance_to_explain() -> None:
    inspector = filled([PRDC(k=3), IntraFID(CLASSES)]).inspector()
    assert (inspector.explained(), inspector.directions(), inspector.class_distances()) == (None, None, None)
    assert inspector.copies() is not None


@pytest.mark.parametrize("measures", [[FID()], [FID(), PRDC(k=3)]], ids=str)
@pytest.mark.parametrize("reading", READINGS)
def test_an_empty_metric_has_no_reasons(measures: list[Measure], reading: str) -> None:
    metric = GenerativeMetrics(measures, None, num_features=WIDTH)
    assert getattr(metric.inspector(), reading)() is None
    metric.update(REAL, real=True)
    assert getattr(metric.inspector(), reading)() is None


def test_equal_sides_have_no_reasons() -> None:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], None, num_features=WIDTH)
    for real in (True, False):
        metric.update(REAL, real=real)
    inspector = metric.inspector()
    assert (inspector.explained(), inspector.directions()) == (None, None)


def test_a_reference_of_moments_has_no_real_images(tmp_path: Path) -> None:
    filled([FID()]).save_reference(tmp_path / "real.npz")
    metric = GenerativeMetrics([FID(se=True)], None, num_features=WIDTH, reference=tmp_path / "real.npz")
    metric.update(FAKE, real=False, index=IDS)
    inspector = metric.inspector()
    found = inspector.explained()
    assert found is not None
    assert found.real is None
    assert found.fake is not None
    assert inspector.copies() is None
    assert inspector.directions() is not None


def read(group: Any, reading: str, measures: Any, rows: slice) -> list[Any]:
    return parts(getattr(filled(measures, rows=rows, process_group=group).inspector(), reading)())


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    "measures", [[FID(se=True), AuthPct()], [FID(), IntraFID(classes=CLASSES)]], ids=["few", "all"]
)
@pytest.mark.parametrize(
    "split", [[slice(0, 240, 2), slice(1, 240, 2)], [slice(0, 50), slice(50, 50), slice(50, None)]]
)
def test_every_rank_reads_the_same(ranks: Ranks, reading: str, measures: Any, split: list[slice]) -> None:
    alone = parts(getattr(filled(measures).inspector(), reading)())
    for told in ranks.run(len(split), read, reading, measures, each=split):
        assert len(told) == len(alone)
        for a, b in zip(told, alone):
            if isinstance(b, torch.Tensor) and b.ndim == 2 and b.dtype == torch.int64:
                assert torch.equal(a, b)
            elif isinstance(b, (torch.Tensor, np.ndarray, float)):
                np.testing.assert_allclose(a, b, atol=1e-6)
            else:
                assert a == b


def test_new_samples_of_the_same_distribution_are_not_all_authentic() -> None:
    """So that a share below 1 is no sign of memory: about a half in few dimensions, more in many."""
    shares = []
    for width in (4, 64):
        metric = GenerativeMetrics([AuthPct(), KID(subset_size=9)], None, num_features=width)
        metric.update(normal(0, 600, width), role="train")
        metric.update(normal(1, 300, width), real=False)
        found = metric.inspector().copies()
        assert found is not None
        shares.append(found.authentic)
    assert shares == pytest.approx([0.5, 0.8], abs=0.08)
