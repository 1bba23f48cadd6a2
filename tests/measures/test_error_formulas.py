"""Standard errors in closed form: each against leaving out one sample after the other, or a share's known error."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isnan
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scores import labelled, normal, score, score_labelled, score_predictions

from streaming_metrics import (
    CAS,
    IS,
    KID,
    MMD,
    PRDC,
    AdaGANCoverage,
    AdversarialDivergence,
    AuthPct,
    BoundaryDistortion,
    Features,
    GANTest,
    GenerativeMetrics,
    ImageRetrieval,
    RPrecision,
    Vendi,
)
from streaming_metrics.measures.catalogue import needed_of
from streaming_metrics.measures.errors import has_error, with_errors
from streaming_metrics.measures.keys import scalar_of
from streaming_metrics.measures.registry import MEASURES, known_measures
from streaming_metrics.measures.vendi import renyi_entropy
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from streaming_metrics import Measure

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
]


def jackknife(values: list[float]) -> float:
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.square(np.subtract(values, np.mean(values))).sum()))


# --- Vendi ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.5, 0.999, 1.0, 1.5, 2.0, 8.0, inf])
def test_vendis_error_is_that_of_leaving_out_each_sample(q: float) -> None:
    rows = normal(0, 300, 4, 0.3) * torch.tensor([3.0, 1.5, 1.0, 0.8])
    x = torch.nn.functional.normalize(rows.double())
    outer = x.unsqueeze(2) * x.unsqueeze(1)
    spectra = torch.linalg.eigvalsh((outer.sum(0) - outer) / 299)
    left = [renyi_entropy(spectrum, q).exp().item() for spectrum in spectra]
    found, plain = (score(Vendi(q, se=se), rows, rows, 400) for se in (True, False))
    assert found["vendi_se"] == pytest.approx(jackknife(left), rel=0.02)
    assert found["vendi"] == pytest.approx(plain["vendi"], rel=1e-12)


def test_vendis_error_of_order_2_is_of_the_frobenius_norm() -> None:
    rows = normal(0, 200, 4, 0.3)
    x = torch.nn.functional.normalize(rows.double())
    m = x.T @ x / 200
    expected = 2 / m.square().sum() ** 2 * ((x @ m) * x).sum(1).std() / 200**0.5
    assert score(Vendi(2, se=True), rows, rows)["vendi_se"] == pytest.approx(expected.item(), rel=1e-6)


def test_vendis_error_from_a_reservoir_is_near_that_of_all() -> None:
    rows = normal(0, 4000, 4, 0.3)
    few, every = (score(Vendi(se=True, reservoir=n), rows[:2], rows)["vendi_se"] for n in (1000, 4000))
    assert few == pytest.approx(every, rel=0.1)
    assert few != every


def test_a_rank_has_no_error() -> None:
    assert isnan(score(Vendi(0, se=True), normal(0, 9, 3), normal(0, 9, 3))["vendi_se"])


def test_vendis_clusters_count_as_one() -> None:
    rows = normal(0, 200, 4, 0.3)
    several = score(Vendi(se=True, cluster=3), rows, rows.repeat_interleave(3, 0))
    assert several["vendi_se"] == pytest.approx(score(Vendi(se=True), rows, rows)["vendi_se"], rel=0.01)


# --- MMD --------------------------------------------------------------------------------------------------------------


def test_mmds_error_is_the_two_sample_jackknifes() -> None:
    real, fake = normal(0, 40, 3), normal(1, 30, 3, 0.5)
    measure = MMD(widths=(1.5,), permutations=0, se=True)
    found = score(measure, real, fake)
    halves = [
        [score(measure, torch.cat([real[:i], real[i + 1 :]]), fake, 50)["mmd"] for i in range(40)],
        [score(measure, real, torch.cat([fake[:j], fake[j + 1 :]]), 50)["mmd"] for j in range(30)],
    ]
    assert found["mmd_se"] == pytest.approx(np.linalg.norm([*map(jackknife, halves)]), rel=1e-9)


def test_mmds_evidence_and_clusters() -> None:
    real, fake = normal(0, 200, 3), normal(1, 150, 3, 0.5)
    metric = GenerativeMetrics([MMD(permutations=0, se=True, cluster=2)], extractor=None, num_features=3)
    metric.update(real, real=True)
    metric.update(Features(fake.repeat_interleave(2, 0), index=torch.arange(300)), real=False)
    values, found = metric.compute(), metric.evidence["mmd_features"]
    assert found.value == pytest.approx(values["mmd_features"].item(), rel=1e-9)
    assert found.error == pytest.approx(values["mmd_se_features"].item(), rel=1e-9)
    alone = score(MMD(permutations=0, se=True), real, fake)["mmd_se"]
    assert found.error == pytest.approx(alone, rel=0.03)


# --- shares and means -------------------------------------------------------------------------------------------------


REAL, FAKE = labelled(0, [30, 30, 40], 3, apart=1.5), labelled(1, [20, 40, 20], 3, apart=1.2)
SHARES: list[tuple[Measure, str, float]] = [
    (CAS(classes=3, se=True), "cas", 100),
    (CAS(classes=3, se=True), "cas_real", 100),
    (GANTest(classes=3, se=True), "gan_test", 80),
    (AdversarialDivergence(classes=3, se=True), "adversarial_accuracy", 100),
    (AdversarialDivergence(classes=3, se=True), "adversarial_accuracy_real", 100),
    (ImageRetrieval(classes=3, ks=(1, 2), se=True), "recall_at_2", 100),
    (AdaGANCoverage(se=True), "coverage_adagan", 100 * 80 / 180),
]


@pytest.mark.parametrize(("measure", "key", "size"), SHARES, ids=lambda value: str(value))
def test_the_error_of_a_share_is_wilsons(measure: Measure, key: str, size: float) -> None:
    found = score_labelled(measure, REAL, FAKE)
    assert 0 < found[key] < 1
    assert found[f"{key}_se"] == share_error(found[key], size)


def test_the_error_of_authenticity_is_in_percent() -> None:
    metric = GenerativeMetrics([AuthPct(se=True)], extractor=None, num_features=3)
    metric.update(normal(0, 50, 3), role="train")
    metric.update(normal(1, 40, 3), real=False)
    share, error = (value.item() for value in metric.compute().values())
    assert error == pytest.approx(100 * share_error(share / 100, 40))


def test_the_error_of_r_precision_is_of_the_images() -> None:
    texts, captions = torch.eye(6), torch.arange(6)
    metric = GenerativeMetrics([RPrecision(candidates=3, se=True)], None, num_features=6, widths={"text": 6})
    metric.update(Features(texts, text=texts, captions=captions), real=True)
    metric.update(Features(texts.roll(1, 0), text=texts, captions=captions), real=False)
    share, error = (value.item() for value in metric.compute().values())
    assert error == share_error(share, 6)


def test_boundary_distortions_error_is_that_of_paired_hits() -> None:
    equal = labelled(2, [34, 33, 33], 3, apart=1.0)
    found = score_labelled(BoundaryDistortion(classes=3, se=True), REAL, equal)
    pair = score_labelled(CAS(classes=3, se=True), REAL, equal)
    assert found["boundary_distortion"] == pytest.approx(pair["cas_real"] - pair["cas"])
    assert 0 < found["boundary_distortion_se"] < np.hypot(pair["cas_real_se"], pair["cas_se"])  # it cancels


def test_points_that_all_lie_in_as_many_balls_leave_an_error_of_density() -> None:
    found = score(PRDC(k=2, se=True), normal(0, 40, 2), normal(1, 30, 2) + 50)
    assert (found["density"], found["density_se"]) == (0.0, share_error(0.0, 30) / 2)


def test_vendis_error_is_of_the_samples_that_have_a_direction() -> None:
    rows = normal(0, 200, 4)
    both = torch.cat([rows, torch.zeros(200, 4)])
    assert score(Vendi(se=True), both, both) == pytest.approx(score(Vendi(se=True), rows, rows), rel=1e-9)


def test_one_cluster_of_predictions_has_no_error() -> None:
    """Not an infinite one, whatever rounding leaves of its distance from the mean."""
    rows = normal(0, 60, 4)
    for n in range(2, 60):
        found = score_predictions(IS(splits=1, se=True, cluster=100), rows, rows[:n])
        assert isnan(found["is_se"])


def test_probes_that_always_agree_leave_an_error() -> None:
    apart = labelled(2, [34, 33, 33], 3, apart=50.0)
    found = score_labelled(BoundaryDistortion(classes=3, se=True), apart, apart)
    assert found == {"boundary_distortion": 0.0, "boundary_distortion_se": share_error(0.0, 100)}


@pytest.mark.parametrize("measure", [KID(2, 2, se=True), KID(None), MMD(permutations=0, se=True)], ids=str)
@pytest.mark.parametrize("cluster", [1, 100])
def test_where_there_is_no_error_there_is_a_value(measure: KID | MMD, cluster: int) -> None:
    """Of 2 samples, or of one cluster, no error is known: that takes nothing from the value."""
    n = (3 if measure == KID(None) else 2) if cluster == 1 else 20
    found = score(replace(measure, cluster=cluster), normal(0, n, 3), normal(1, n, 3))
    assert found[measure.label] == score(measure, normal(0, n, 3), normal(1, n, 3))[measure.label]
    assert isnan(found[f"{measure.label}_se"]) == (n != 3)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_at_either_end_have_intervals_within_reach(share: float) -> None:
    """In per cent and of f1 too."""
    real, fake = normal(0, 40, 2), normal(1, 30, 2) * 1e-3 + 50
    for key, measure in {"authpct": AuthPct(se=True), "f1": PRDC(f1=True, se=True)}.items():
        if key == "authpct":
            metric = GenerativeMetrics([measure], None, num_features=2)
            metric.update(real, role="train")
            metric.update(fake if share else real[:30], real=False)
            found = {name.replace("_features", ""): value.item() for name, value in metric.compute().items()}
        else:
            found = score(measure, real, real if share else fake)
        whole = 100 if key == "authpct" else 1
        assert found[key] == whole * share
        low, high = scalar_of(key).interval(found[key], found[f"{key}_se"])
        assert (high if share else low) == pytest.approx(whole * share, abs=1e-6)
        assert 0 <= low < high <= whole


def test_the_error_of_a_mean_is_its_deviation_over_the_root() -> None:
    found = score_labelled(ImageRetrieval(se=True), REAL, FAKE)
    assert REAL.pool is not None
    assert FAKE.pool is not None
    nearest = torch.cdist(REAL.pool.double(), FAKE.pool.double()).min(1).values
    assert found["retrieval_distance_se"] == pytest.approx(nearest.std().item() / 10, rel=1e-5)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cls",
    [cls for label, cls in known_measures().items() if label in MEASURES and has_error(cls)],
    ids=lambda cls: cls.label,
)
def test_an_error_says_of_what_it_is_and_changes_nothing_where_it_is_not_asked_for(cls: type[Measure]) -> None:
    needs_classes, options = "classes" in needed_of(cls), {"classes": 3}
    plain = cls(**(options if needs_classes else {}))  # pyright: ignore[reportArgumentType]
    [told] = with_errors([plain])
    errors = [scalar for scalar in told.scalars if scalar.about]
    assert errors
    assert all(scalar.key == f"{scalar.spread_of}_se" and scalar.spread_of in told.keys for scalar in errors)
    assert [key for key in told.keys if key in plain.keys] == [*plain.keys]
    assert not any(scalar.about for scalar in plain.scalars)
    assert needs_classes or {*told.keys} <= {scalar.key for scalar in cls.known_scalars()}
    assert "se=" not in plain.describe()
