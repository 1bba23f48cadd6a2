"""Standard errors of measures that add up: a jackknife over blocks against one by hand, and which measures have one."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from scores import normal, score_predictions

from streaming_metrics import (
    AMScore,
    Features,
    GenerativeMetrics,
    Modes,
    ModeScore,
    SharpnessDifference,
    SlicedWasserstein,
)
from streaming_metrics.measures.errors import with_errors
from streaming_metrics.measures.jackknife import Jackknife, jackknife_error
from streaming_metrics.measures.keys import parse_key, scalar_of
from streaming_metrics.measures.registry import as_measures, known_measures, measures_of
from streaming_metrics.statistics import Marginals
from streaming_metrics.statistics.blocks import Blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
]


@pytest.mark.parametrize("cluster", [1, 5])
def test_it_is_the_jackknife_of_values_without_each_block(cluster: int) -> None:
    real, fake = normal(0, 150, 6), normal(1, 203, 6)
    measure = Jackknife(ModeScore(), blocks=7, cluster=cluster)
    place = Blocks(Marginals(6), 7, cluster).block_of(torch.arange(203))
    sizes = place.bincount(minlength=7).tolist()
    metric = GenerativeMetrics([measure], extractor=None, num_classes=6)
    metric.update(Features(logits=real), real=True)
    metric.update(Features(logits=fake, index=torch.arange(203)), real=False)
    found = metric.compute()
    kept = [fake, *(fake[place != block] for block in range(7))]
    whole, *left = torch.tensor(
        [score_predictions(ModeScore(), real, rows)["mode_score"] for rows in kept], dtype=torch.float64
    )
    expected = jackknife_error(whole, left, sizes) * 2.447 / 1.96  # Student's t of 6 degrees of freedom, as ±1.96 of it
    assert found["mode_score_features"].item() == pytest.approx(whole.item(), rel=1e-9)
    assert found["mode_score_se_features"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_consecutive_ids_of_a_cluster_are_in_one_block() -> None:
    place = Blocks(Marginals(6), 20, cluster=4).block_of(torch.arange(400)).view(100, 4)
    assert (place == place[:, :1]).all()
    assert len(place.unique()) == 20


def test_samples_that_come_four_times_have_twice_the_error() -> None:
    rows = normal(0, 2000, 1).abs()
    errors = []
    for times in (1, 4):
        given = Features(sharpness=rows.repeat_interleave(times, 0), index=torch.arange(2000 * times))
        measure = Jackknife(SharpnessDifference(), cluster=times)
        metric = GenerativeMetrics([measure], extractor=None, num_features=1, widths={"sharpness": 1})
        metric.update(Features(pool=torch.zeros(1, 1), sharpness=torch.zeros(1, 1)), real=True)
        metric.update(given.having(pool=torch.zeros(len(given), 1)), real=False)
        errors.append(metric.compute()["sharpness_excess_se_features"].item())
    assert errors == pytest.approx([errors[0]] * 2, rel=1e-9)  # the same blocks: what came four times says no more
    assert errors[0] == pytest.approx(rows.std().item() / 2000**0.5, rel=0.35)


def test_fewer_than_two_blocks_have_no_error() -> None:
    found = score_predictions(Jackknife(AMScore()), normal(0, 5, 4), normal(1, 1, 4))
    assert isnan(found["am_score_se"])


def test_a_jackknife_is_named_as_the_measure() -> None:
    for text in ("am_score(se=True)", "ndb(bins=7,se=True,blocks=10,cluster=3)"):
        [measure] = measures_of(text)
        assert measure.describe() == text
        assert measures_of(measure.describe()) == [measure]
        assert (measure.group, measure.column, measure.paper) == tuple(
            getattr(measure.measure, name)  # pyright: ignore[reportAttributeAccessIssue]
            for name in ("group", "column", "paper")
        )


def test_the_keys_of_errors_are_known() -> None:
    for measure in with_errors([cls() for cls in known_measures().values() if cls.jackknifed]):
        for scalar in measure.scalars:
            assert parse_key(scalar.reported("dinov2")).scalar.key == scalar.key
            assert parse_key(scalar.reported("dinov2")).scalar.spread_of == scalar.spread_of


@pytest.mark.parametrize("key", ["ndb_js", "modes_js", "luminance", "gradients", "sharpness_difference", "am_score"])
def test_an_interval_of_what_is_not_negative_is_not_either(key: str) -> None:
    assert scalar_of(key).interval(0.01, 0.1) == pytest.approx((0.0, 0.206), abs=1e-3)


def test_what_has_no_error_is_left_as_it_is() -> None:
    given = as_measures("sliced_wasserstein,am_score")
    assert [measure.describe() for measure in with_errors(given)] == ["sliced_wasserstein", "am_score(se=True)"]
    assert with_errors(with_errors(given)) == with_errors(given)
    with pytest.raises(ValueError, match="expected a measure that names scalars"):
        Jackknife(SlicedWasserstein())
    with pytest.raises(ValueError, match="se=True,blocks"):
        measures_of("am_score(blocks=4)")


def test_the_table_of_modes_is_that_of_the_measure() -> None:
    tables = []
    for measure in (Modes(modes=3), Jackknife(Modes(modes=3), blocks=4)):
        metric = GenerativeMetrics([measure], extractor=None, num_features=4)
        for real, rows in ((True, normal(0, 60, 4)), (False, normal(1, 50, 4))):
            metric.update(Features(rows, index=torch.arange(len(rows))), real=real)
        tables.append(metric.modes())
    first, second = tables
    assert first is not None
    assert second is not None
    for name in ("real_share", "fake_share"):
        assert torch.equal(getattr(first, name), getattr(second, name))
