"""What there is to look at in a metric: modes, units, a projection; by NumPy, scikit-learn, in every form, on ranks."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal
from sklearn.decomposition import PCA

from streaming_metrics import FID, KID, PRDC, Features, GenerativeMetrics, IntraFID, Modes
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.extremes import highest
from streaming_metrics.report.findings import Findings
from streaming_metrics.statistics import Moments
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Ranks
    from torch import Tensor

    from streaming_metrics import Measure

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

WIDTH = 6
REAL, FAKE = normal(0, 90, WIDTH) * torch.arange(1.0, 7), normal(1, 70, WIDTH, 0.3) * torch.arange(1.0, 7)
IDS = torch.arange(70) * 3 + 100
LOOKS = {"modes": {}, "projection": {}, "units": {}}


def filled(measures: Sequence[Measure], freeze: bool = False, **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics(list(measures), extractor=None, num_features=WIDTH, **options)
    metric.update(Features(REAL, index=torch.arange(90), labels=torch.arange(90) % 3), real=True)
    if freeze:
        metric.freeze_real()
    metric.update(Features(FAKE, index=IDS, labels=torch.arange(70) % 2), real=False)
    return metric


def nearest(rows: Tensor, ids: Tensor, centre: Tensor, inside: Tensor) -> list[int]:
    """Return the ids of the two rows nearest to a centre, among those inside."""
    distance = (rows.double() - centre).norm(dim=1).where(inside, torch.inf)
    order = distance.argsort()[: min(2, int(inside.sum()))]
    return [*ids[order].tolist(), -1, -1][:2]


# --- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("among", [None, IDS[::4]])
def test_examples_of_modes_are_nearest_to_their_centres(among: Tensor | None) -> None:
    metric = filled([Modes(5)])
    table = metric.modes(among)
    assert table is not None
    metric.freeze_real()
    (centres,) = (tensor.double() for name, tensor in vars(metric).items() if "_centres_" in name)
    for rows, ids, told in ((REAL, torch.arange(90), table.real_examples), (FAKE, IDS, table.fake_examples)):
        mode = torch.cdist(rows.double(), centres).argmin(1)
        asked = torch.isin(ids, among) if among is not None and rows is FAKE else torch.ones(len(ids), dtype=torch.bool)
        assert told.tolist() == [nearest(rows, ids, centre, (mode == m) & asked) for m, centre in enumerate(centres)]


def test_examples_of_labels_have_these() -> None:
    table = filled([Modes(classes=3)]).modes()
    assert table is not None
    assert table.is_labelled
    assert table.real.tolist() == [30, 30, 30]
    assert (table.real_examples % 3 == torch.arange(3)[:, None]).all()
    assert [((ids - 100) // 3 % 2).unique().tolist() for ids in table.fake_examples[:2]] == [[0], [1]]
    assert table.fake_examples[2].tolist() == [-1, -1]


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("bind_limit", [0, 1 << 30])
def test_the_table_is_that_of_the_values(freeze: bool, bind_limit: int) -> None:
    metric = filled([Modes(5)], freeze, bind_limit=bind_limit)
    values, table = metric.compute(), metric.modes()
    assert table is not None
    assert values["modes_missing_features"] == table.is_missing.double().mean()
    assert values["modes_distance_features"].item() == pytest.approx(table.distance_ratio, rel=1e-12)
    assert table.fake_examples.shape == ((5, 0) if freeze and bind_limit else (5, 2))


def test_other_measures_features_have_modes_too() -> None:
    table, own = filled([PRDC(k=3)]).modes(), filled([Modes()]).modes()
    assert table is not None
    assert own is not None
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*map(parts, (table, own))))


def parts(value: Any) -> list[Any]:
    return [torch.nan_to_num(torch.as_tensor(getattr(value, field.name)), nan=-7.0) for field in fields(value)]


@pytest.mark.parametrize("measures", [[FID()], [IntraFID(classes=3)]], ids=str)
def test_without_features_to_look_at_there_are_no_modes(measures: list[Measure]) -> None:
    assert filled(measures).modes() is None


# --- projection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [256, 40])
def test_the_projection_is_scikit_learns(most: int) -> None:
    found = filled([KID(subset_size=10)]).projection(most)
    assert found is not None
    kept = [ids[hashed(ids).argsort()[:most]].sort().values for ids in (torch.arange(90), IDS)]
    assert [found.real_ids.tolist(), found.fake_ids.tolist()] == [ids.tolist() for ids in kept]
    rows, fakes = REAL[kept[0]].double().numpy(), FAKE[(kept[1] - 100) // 3].double().numpy()
    theirs = PCA(2, svd_solver="full").fit(rows)
    signs = np.sign([axis[np.abs(axis).argmax()] for axis in np.asarray(theirs.components_)])
    np.testing.assert_allclose(found.real, theirs.transform(rows) * signs, atol=1e-9)
    np.testing.assert_allclose(found.fake, theirs.transform(fakes) * signs, atol=1e-9)
    np.testing.assert_allclose(found.explained, theirs.explained_variance_ratio_, atol=1e-12)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize(("width", "rows"), [(1, normal(0, 9, 1)), (3, torch.ones(9, 3)), (2, torch.eye(2))])
def test_what_has_no_second_direction_lies_on_a_line(width: int, rows: Tensor) -> None:
    metric = GenerativeMetrics([KID(subset_size=2)], extractor=None, num_features=width)
    metric.update(rows, real=True)
    metric.update(rows[:1], real=False)
    found = metric.projection()
    assert found is not None
    assert (found.real[:, 1].abs() < 1e-12).all()
    assert found.explained.sum() in (0, pytest.approx(1))


# --- units ------------------------------------------------------------------------------------------------------------


def test_units_of_moments_are_those_of_features_and_numpys() -> None:
    real, fake = REAL.double().numpy(), FAKE.double().numpy()
    expected = (fake.mean(0) - real.mean(0)) / np.sqrt((real.var(0) + fake.var(0)) / 2)
    order = np.abs(expected).argsort()[::-1][:4]
    for measures in ([FID()], [PRDC(k=3)], [FID(), PRDC(k=3)]):
        found = filled(measures).units(4)
        assert found is not None
        assert found.places.tolist() == order.tolist()
        np.testing.assert_allclose(found.difference, expected[order], rtol=1e-9)
        if len(measures) > 1:
            assert found.real_examples.tolist() == [
                REAL[:, unit].argsort(descending=True)[:4].tolist() for unit in order
            ]
            assert found.fake_examples.tolist() == [
                IDS[FAKE[:, unit].argsort(descending=True)[:4]].tolist() for unit in order
            ]
    assert filled([FID()]).units().real_examples.shape == (6, 0)  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_units_against_a_reference_are_those_against_its_samples(tmp_path: Path, ending: str) -> None:
    filled([FID()]).save_reference(tmp_path / f"real.{ending}")
    metric = GenerativeMetrics([FID()], None, num_features=WIDTH, reference=tmp_path / f"real.{ending}")
    metric.update(FAKE, real=False)
    found, expected = metric.units(), filled([FID()]).units()
    assert found is not None
    assert expected is not None
    assert found.places.tolist() == expected.places.tolist()
    np.testing.assert_allclose(found.difference, expected.difference, rtol=1e-2)  # an .npz holds no number of samples


def test_of_several_networks_that_with_features_is_looked_at() -> None:
    widths = {"first": 2, "second": WIDTH}
    metric = GenerativeMetrics([FID(), PRDC(k=3, on="second")], None, num_features=widths)
    for rows, real in ((REAL, True), (FAKE, False)):
        metric.update({"first": Features(rows[:, :2]), "second": Features(rows)}, real=real)
    alone = filled([PRDC(k=3)])
    for look in LOOKS:
        found, expected = (getattr(one, look)() for one in (metric, alone))
        told = "places" if look == "units" else "real"
        assert getattr(found, told).shape == getattr(expected, told).shape
    assert metric.units().places.tolist() == alone.units().places.tolist()  # pyright: ignore


def test_a_unit_that_is_constant_on_both_sides_differs_without_bound_or_not_at_all() -> None:
    metric = GenerativeMetrics([FID()], extractor=None, num_features=3)
    for real in (True, False):
        noise, one, constant = normal(int(real), 30, 1), torch.ones(30, 1), torch.full((30, 1), float(real))
        metric.update(torch.cat([noise, one, constant], 1), real=real)
    found = metric.units(3)
    assert found is not None
    assert (found.places[0], found.difference[0]) == (2, -torch.inf)
    assert (found.places[2], found.difference[2]) == (1, 0)


@pytest.mark.parametrize("measure", [FID(), KID(subset_size=10)])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 7.3, -1e6 / 3])
def test_a_unit_of_one_value_does_not_differ_by_how_its_mean_is_rounded(measure: Measure, value: float) -> None:
    """Means of batches of other sizes, in float64, are not the same bits."""
    metric = GenerativeMetrics([measure], extractor=None, num_features=2)
    for rows, batch, real in ((normal(0, 200, 2), 37, True), (normal(1, 190, 2), 48, False)):
        constant = torch.where(torch.tensor([False, True]), value, rows.double())
        for part in constant.split(batch):
            metric.update(part, real=real)
    found = metric.units()
    assert found is not None
    assert (found.places[1], found.difference[1]) == (1, 0)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
def test_an_empty_metric_has_nothing_to_show(look: str) -> None:
    metric = GenerativeMetrics([PRDC(k=3)], extractor=None, num_features=WIDTH)
    assert getattr(metric, look)() is None
    metric.update(REAL, real=True)
    assert getattr(metric, look)() is None


@pytest.mark.parametrize("look", LOOKS)
def test_looking_leaves_the_metric_as_it_was(look: str) -> None:
    metric = filled([FID(), KID(subset_size=10), PRDC(k=3)], freeze=True)
    before = metric.compute()
    getattr(metric, look)()
    assert metric.compute() == before


def test_a_report_takes_one_meeting_and_one_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counted(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return method(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, run)

    metric = filled([FID(), PRDC(k=3), Modes(5)])
    counted(GenerativeMetrics, "_gather_ranks")
    counted(Moments, "all_reduce")
    found = Findings.of(metric)
    assert None not in (found.around, found.closest, found.modes, found.units, found.projection)
    assert calls == {"_gather_ranks": 1, "all_reduce": 2}  # of moments, one a side


def looked(group: Any, look: str, freeze: bool, samples: Any) -> list[Tensor]:
    metric = GenerativeMetrics([PRDC(k=3), Modes(5)], None, num_features=WIDTH, process_group=group, bind_limit=0)
    for (rows, ids), real in zip(samples, (True, False)):
        metric.update(rows, real=real, index=ids)
    if freeze:
        metric.freeze_real()
    return parts(getattr(metric, look)())


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("freeze", [False, True])
def test_any_ranks_see_the_same(ranks: Ranks, look: str, freeze: bool) -> None:
    sides = (REAL, torch.arange(90)), (FAKE, IDS)
    each = [[(rows[part], ids[part]) for rows, ids in sides] for part in (slice(0, 0), slice(0, 20), slice(20, None))]
    alone = looked(None, look, freeze, sides)
    answers = ranks.run(3, looked, look, freeze, each=each)
    for answer in answers:
        assert all(torch.allclose(one.double(), other.double(), rtol=1e-9) for one, other in zip(alone, answer))
        assert all(torch.equal(one, other) for one, other in zip(answers[0], answer))


def ranked(group: Any, scores: Tensor, ids: Tensor) -> Tensor:
    return highest(scores, ids, 3, Comm(group))


def test_equal_scores_are_ranked_by_id_on_any_ranks(ranks: Ranks) -> None:
    scores, ids = torch.tensor([[1.0], [2.0], [2.0], [2.0], [2.0], [-torch.inf]]), torch.tensor([9, 5, 4, 8, 2, 0])
    each = [(scores[part], ids[part]) for part in (slice(0, 0), slice(0, 3), slice(3, None))]
    for answer in ranks.run(3, unpacked, each=each):
        assert answer.tolist() == ranked(None, scores, ids).tolist() == [[2, 4, 5]]
    assert ranked(None, scores[:1], ids[:1]).tolist() == [[9, -1, -1]]


def unpacked(group: Any, given: tuple[Tensor, Tensor]) -> Tensor:
    return ranked(group, *given)
