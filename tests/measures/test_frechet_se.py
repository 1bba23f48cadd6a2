"""Error and bias of FID against identities, closed forms, numerical derivatives, jackknives and simulation."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scores import normal

from streaming_metrics import FID, BiasWarning, Features, GenerativeMetrics
from streaming_metrics.files.reference import KIND
from streaming_metrics.files.tensors import read_tensors
from streaming_metrics.measures.frechet_errors import Coupling, Part, corrected, less_biased
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance
from streaming_metrics.measures.keys import scalar_of
from streaming_metrics.statistics import HalfMoments, Moments
from streaming_metrics.statistics.index import hashed, in_first_half
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
]


def fitted(rows: Tensor) -> Gaussian:
    moments = Moments(rows.shape[1])
    return Gaussian(moments, moments.update(moments.empty(), Features(pool=rows)), len(rows))


def coupled(
    seed: int, n: int, m: int, width: int, shift: float = 0.3, scale: float = 1.2
) -> tuple[Coupling, Tensor, Tensor]:
    mix = normal(seed, width, width).double()
    x, y = normal(seed + 1, n, width).double() @ mix, (normal(seed + 2, m, width, shift, scale)).double() @ mix
    return Coupling(fitted(x), fitted(y)), x, y


def metric_of(measure: FID, real: Tensor, fake: Tensor) -> GenerativeMetrics:
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.shape[1])
    for rows, is_real in ((real, True), (fake, False)):
        metric.update(rows, real=is_real, index=torch.arange(len(rows)))
    return metric


@pytest.mark.parametrize(("n", "m", "width"), [(200, 150, 6), (90, 400, 20)])
def test_the_coupling_carries_each_side_to_the_other(n: int, m: int, width: int) -> None:
    coupling, x, y = coupled(0, n, m, width)
    there, back = (factor @ factor.T for factor in (coupling.to_real, coupling.to_fake))
    scale = coupling.x.covariance.norm()
    assert (there @ coupling.y.covariance @ there - coupling.x.covariance).norm() < 1e-12 * scale
    assert (back @ coupling.x.covariance @ back - coupling.y.covariance).norm() < 1e-10 * scale
    for side, rows, of in ((coupling.y, y, coupling.of_fake), (coupling.x, x, coupling.of_real)):
        mean = of(rows).influence.mean() * len(rows) / (len(rows) - 1)
        assert mean.item() == pytest.approx((side.trace - coupling.scales.sum()).item(), rel=1e-9)


@pytest.mark.parametrize("which", ["x", "y"])
def test_influence_is_the_derivative_by_a_samples_weight(which: str) -> None:
    coupling, x, y = coupled(3, 300, 300, 5)
    rows = y if which == "y" else x

    def weighted(place: int, weight: float) -> float:
        w = torch.ones(len(rows), dtype=torch.float64)
        w[place] += weight
        mean = (w @ rows) / w.sum()
        scatter = (rows - mean).T @ ((rows - mean) * w[:, None])
        state = torch.zeros(6, 6, dtype=torch.float64)
        n = len(rows)
        state[0, 0], state[0, 1:], state[1:, 0], state[1:, 1:] = n, mean, mean, scatter / w.sum() * (n - 1)
        side = Gaussian(Moments(5), {"moments": state}, n)
        return frechet_distance(*((coupling.x, side) if which == "y" else (side, coupling.y))).item()

    of = coupling.of_fake(rows) if which == "y" else coupling.of_real(rows)
    expected = of.influence - of.influence.mean()
    for place in (0, 7, 123):
        slope = (weighted(place, 1e-4) - weighted(place, -1e-4)) / 2e-4
        assert slope * len(rows) == pytest.approx(expected[place].item(), rel=1e-2, abs=0.01 * expected.std().item())


def test_closed_forms_of_a_shift_and_of_a_scale() -> None:
    x = normal(0, 400, 4).double()
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    coupling = Coupling(fitted(x), fitted(x + shift))
    z = x - x.mean(0)
    torch.testing.assert_close(coupling.of_fake(x + shift).influence, 2 * z @ shift, rtol=1e-9, atol=1e-9)
    coupling = Coupling(fitted(z), fitted(2 * z))
    norms = z.square().sum(1)
    torch.testing.assert_close(coupling.of_real(z).influence, (1 - 2) * norms, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(coupling.of_fake(2 * z).influence, (1 - 0.5) * 4 * norms, rtol=1e-9, atol=1e-9)


def test_bias_of_one_feature_has_a_closed_form() -> None:
    x, y = normal(0, 5000, 1).double(), 3 * normal(1, 200_000, 1).double()
    coupling = Coupling(fitted(x), fitted(y))
    n = len(y)
    expected = 9 / n + 3 * 1 / (2 * n)
    assert coupling.bias(coupling.y, coupling.of_fake(y)).item() == pytest.approx(expected, rel=0.03)


def jackknife(statistic: Callable[[Tensor], float], rows: Tensor) -> tuple[float, float]:
    """Return the standard error and the bias by leaving out each row."""
    n, whole = len(rows), statistic(rows)
    without = np.array([statistic(torch.cat([rows[:i], rows[i + 1 :]])) for i in range(n)])
    return math.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()), (n - 1) * (without.mean() - whole)


def test_error_and_bias_equal_those_of_a_jackknife() -> None:
    x, y = normal(0, 300, 8), normal(1, 300, 8, 0.3, 1.3)
    real = fitted(x)
    error, bias = jackknife(lambda rows: frechet_distance(real, fitted(rows)).item(), y)
    values = metric_of(FID(se=True), x, y).compute()
    assert values["fd_se_features"].item() == pytest.approx(error, rel=0.06)
    coupling = Coupling(real, fitted(y))
    assert coupling.bias(coupling.y, coupling.of_fake(y)).item() == pytest.approx(bias, rel=0.06)


def test_both_sides_random_add_the_real_sides_share() -> None:
    x, y = normal(0, 200, 6), normal(1, 300, 6, 0.3, 1.3)
    fake = fitted(y)
    share, _ = jackknife(lambda rows: frechet_distance(fitted(rows), fake).item(), x)
    one, both = (metric_of(FID(se=True, both=both), x, y).compute() for both in (False, True))
    added = math.sqrt(both["fd_se_features"].item() ** 2 - one["fd_se_features"].item() ** 2)
    assert added == pytest.approx(share, rel=0.06)
    assert both["fd_corrected_features"] < one["fd_corrected_features"] < one["fd_features"]


def test_the_value_is_that_of_fid_alone() -> None:
    x, y = normal(0, 200, 6), normal(1, 100, 6, 0.3, 1.3)
    for few in (100, 4):  # the generated side may be of lower rank
        plain, found = (metric_of(FID(se=se), x, y[:few]).compute()["fd_features"].item() for se in (False, True))
        assert found == pytest.approx(plain, rel=1e-12)


def test_too_few_samples_yield_no_corrected_value() -> None:
    x, width = normal(0, 200, 6), 6
    few = metric_of(FID(se=True), x, normal(1, 2 * width + 1, width))
    with pytest.warns(BiasWarning, match=r"expected at least 7 in each half, got .*, and 35 in all"):
        values = few.compute()
    assert values["fd_corrected_features"].isnan()
    assert values["fd_corrected_se_features"].isnan()
    assert values["fd_se_features"] > 0
    enough = metric_of(FID(se=True), x, normal(1, 200, width))
    with warnings.catch_warnings():
        warnings.simplefilter("error", BiasWarning)
        assert enough.compute()["fd_corrected_features"].isfinite()


def test_heavy_tails_are_said() -> None:
    y = normal(1, 400, 3)
    y[5] *= 200
    with pytest.warns(BiasWarning, match="few samples make most of the standard error"):
        metric_of(FID(se=True), normal(0, 400, 3), y).compute()


def test_equal_sides_have_no_error_and_no_difference() -> None:
    x = normal(0, 300, 5)
    metric = metric_of(FID(se=True), x, x)
    values = metric.compute()
    assert values["fd_se_features"].item() == pytest.approx(0, abs=1e-6)
    evidence = metric.evidence["fd_features"]
    same = paired(evidence, evidence)
    assert (same.difference, same.error, same.z, same.p_value) == (0, 0, 0, 1)
    assert same.verdict() == "undecided"


def test_clusters_of_equal_samples_count_once() -> None:
    x, y = normal(0, 400, 4), normal(1, 150, 4, 0.2)
    repeated = y.repeat_interleave(4, 0)
    one, four = metric_of(FID(se=True), x, y).compute(), metric_of(FID(se=True, cluster=4), x, repeated).compute()
    assert four["fd_se_features"].item() == pytest.approx(one["fd_se_features"].item(), rel=0.02)
    alone = metric_of(FID(se=True), x, repeated).compute()
    assert alone["fd_se_features"].item() == pytest.approx(one["fd_se_features"].item() / 2, rel=0.02)


def test_a_reference_of_moments_alone_is_taken_as_given(tmp_path: object) -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4, 0.2)
    path = f"{tmp_path}/real.npz"
    metric_of(FID(), x, y).save_reference(path)
    given = GenerativeMetrics([FID(se=True)], extractor=None, num_features=4, reference=path)
    given.update(y, real=False, index=torch.arange(len(y)))
    found, whole = given.compute(), metric_of(FID(se=True), x, y)
    expected = whole.compute()
    for key, value in found.items():
        assert value.item() == pytest.approx(expected[key].item(), rel=1e-6)
    assert given.evidence["fd_features"].real is None
    assert whole.evidence["fd_features"].real is not None
    both = GenerativeMetrics([FID(se=True, both=True)], extractor=None, num_features=4, reference=path)
    both.update(y, real=False)
    with pytest.raises(ValueError, match="got moments alone"):
        both.compute()


def test_options_of_the_error_need_it() -> None:
    with pytest.raises(ValueError, match="Remedy: se=True"):
        FID(both=True)
    with pytest.raises(ValueError, match="Remedy: se=True"):
        FID(reservoir=100)
    with pytest.raises(ValueError, match="cluster"):
        FID(se=True, cluster=0)
    with pytest.raises(ValueError, match="expected two clusters of 300 at least, got 500 rows"):
        FID(se=True, cluster=300, reservoir=500)


def spectrum(width: int) -> Tensor:
    return torch.arange(1, width + 1).double() ** -0.5


def halved(rows: Tensor) -> list[Part]:
    return [Part(fitted(rows[i::2]), rows[i::2]) for i in (0, 1)]


def simulate(width: int, n: int, draws: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the raw values, the corrected ones, their half-widths, and standard errors, of one real Gaussian."""
    many = Moments(width)
    state = torch.zeros(width + 1, width + 1, dtype=torch.float64)
    state[0, 0], state[1:, 1:] = 2**40, torch.diag(spectrum(width).square()) * (2**40 - 1)
    real = Gaussian(many, {"moments": state}, 2**40)
    found = []
    for draw in range(draws):
        y = torch.randn(n, width, generator=torch.Generator().manual_seed(draw), dtype=torch.float64) * spectrum(width)
        y += shift * spectrum(width)
        coupling = Coupling(real, fitted(y))
        given = Part(real, None)
        value, step = corrected(coupling, given, Part(coupling.y, y), [(given, half) for half in halved(y)])
        error = coupling.of_fake(y).influence.std().item() / math.sqrt(n)
        found.append([coupling.distance.item(), value.item(), 1.96 * error + step.item(), error])
    raw, value, half, error = np.array(found).T
    return raw, value, half, error


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_corrected_interval_covers_the_distance_and_the_raw_one_does_not(shift: float) -> None:
    width, n, draws = 16, 80, 60
    raw, value, half, _ = simulate(width, n, draws, shift)
    truth = shift**2 * spectrum(width).square().sum().item()
    assert (np.abs(value - truth) <= half).mean() >= 0.87  # of 60: 0.92 less two Monte-Carlo deviations
    assert abs(value.mean() - truth) < 0.15 * (raw.mean() - truth)


def test_second_order_alone_leaves_more_bias() -> None:
    width, n = 16, 80
    real = fitted(normal(0, 100_000, width).double() * spectrum(width))
    left = []
    for draw in range(40):
        y = normal(draw + 1, n, width).double() * spectrum(width)
        coupling, given = Coupling(real, fitted(y)), Part(real, None)
        first = less_biased(coupling, given, Part(coupling.y, y)).item()
        value, _ = corrected(coupling, given, Part(coupling.y, y), [(given, half) for half in halved(y)])
        left.append((first, value.item()))
    first, value = np.array(left).mean(0)
    assert abs(value) < abs(first)


def test_generated_moments_alone_have_no_error(tmp_path: object) -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4, 0.2)
    plain, whole = f"{tmp_path}/plain.safetensors", f"{tmp_path}/whole.safetensors"
    metric_of(FID(), y, x).save_reference(plain)
    metric_of(FID(se=True, both=True), y, x).save_reference(whole)
    found = []
    for path in (plain, whole):
        metric = GenerativeMetrics([FID(se=True)], extractor=None, num_features=4)
        metric.update(x, real=True, index=torch.arange(len(x)))
        metric.merge_reference(path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", BiasWarning)
            found.append(metric.compute())
        assert ("got moments alone" in str([str(one.message) for one in said])) == (path == plain)
    assert found[0]["fd_se_features"].isnan()
    expected = metric_of(FID(se=True), x, y).compute()
    assert {key: value.item() for key, value in found[1].items()} == pytest.approx(
        {key: value.item() for key, value in expected.items()}, rel=1e-9
    )


def dependent(clusters: int, size: int, width: int) -> Tensor:
    """Rows of clusters, four fifths of whose variance is their cluster's."""
    own, shared = normal(1, clusters * size, width).double(), normal(2, clusters, width).double()
    return 1.3 * (0.8**0.5 * shared.repeat_interleave(size, 0) + 0.2**0.5 * own) + 0.3


def test_bias_of_dependent_samples_equals_that_of_a_jackknife_by_clusters() -> None:
    real, size = fitted(normal(0, 3000, 4).double()), 3
    y = dependent(100, size, 4)
    clusters = torch.arange(len(y)) // size
    coupling = Coupling(real, fitted(y))
    whole, n = coupling.distance.item(), len(y) // size
    without = [frechet_distance(real, fitted(y[clusters != left])).item() for left in range(n)]
    expected = (n - 1) * (np.mean(without) - whole)
    moved = coupling.of_fake(y)
    assert coupling.bias(coupling.y, moved, clusters).item() == pytest.approx(expected, rel=0.1)
    assert coupling.bias(coupling.y, moved).item() < 0.6 * expected


def test_clusters_of_equal_samples_are_corrected_as_their_clusters() -> None:
    x, y = normal(0, 400, 4), normal(1, 150, 4, 0.2)
    repeated = metric_of(FID(se=True, cluster=4), x, y.repeat_interleave(4, 0)).compute()
    one = metric_of(FID(se=True), x, y).compute()
    error = one["fd_corrected_se_features"].item()
    assert repeated["fd_corrected_features"].item() == pytest.approx(one["fd_corrected_features"].item(), abs=error)
    bias = (one["fd_features"] - one["fd_corrected_features"]).item()
    assert (repeated["fd_features"] - repeated["fd_corrected_features"]).item() == pytest.approx(bias, rel=0.25)


def test_rows_of_some_samples_alone_make_no_error(tmp_path: Path) -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4)
    metric_of(FID(), y + 3, x).save_reference(tmp_path / "others.safetensors")
    metric = metric_of(FID(se=True), x, y)
    metric.merge_reference(tmp_path / "others.safetensors")
    with pytest.warns(BiasWarning, match="of some of its samples at least"):
        assert metric.compute()["fd_se_features"].isnan()
    assert not metric.evidence


def test_a_reference_keeps_no_more_features_than_it_is_asked_for(tmp_path: Path) -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4)
    metric = metric_of(FID(se=True), x, y)
    expected, found = metric.compute(), {}
    for name, options in {"none": {"bank": False}, "few": {"capacity": 50}, "half": {"half": True}}.items():
        metric.save_reference(tmp_path / f"{name}.safetensors", **options)
        tensors, _ = read_tensors(tmp_path / f"{name}.safetensors", KIND)
        found[name] = {(tuple(one.shape), one.dtype) for key, one in tensors.items() if key.endswith("/rows")}
    assert found == {"none": set(), "few": {((50, 4), torch.float32)}, "half": {((2000, 4), torch.float16)}}
    for name, capacity, kept in (("none", 2000, 0), ("few", 50, 50), ("half", 2000, 300)):
        given = GenerativeMetrics(
            [FID(se=True, reservoir=capacity)], None, num_features=4, reference=tmp_path / f"{name}.safetensors"
        )
        given.update(y, real=False, index=torch.arange(len(y)))
        assert given.compute()["fd_se_features"].item() == pytest.approx(expected["fd_se_features"].item(), rel=0.3)
        real = given.evidence["fd_features"].real
        assert (0 if real is None else len(real.index)) == kept


def test_a_real_side_without_its_half_is_said(tmp_path: Path) -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4)
    metric_of(FID(se=True), x, y).save_reference(tmp_path / "real.safetensors")
    both = GenerativeMetrics([FID(se=True, both=True)], None, num_features=4, reference=tmp_path / "real.safetensors")
    both.update(y, real=False)
    with pytest.warns(BiasWarning, match="expected moments of half of each side that is random, got none"):
        assert both.compute()["fd_corrected_features"].isnan()


def test_features_near_the_smallest_floats_have_an_error() -> None:
    x, y = normal(0, 300, 4), normal(1, 200, 4)
    values, tiny = (
        metric_of(FID(se=True), x.double() * scale, y.double() * scale).compute() for scale in (1.0, 2.0**-110)
    )
    for key, value in values.items():
        assert tiny[key].item() * 2.0**220 == pytest.approx(value.item(), rel=1e-6)
    metric_of(FID(se=True), x.double() * 1e-42, y.double() * 1e-42).compute()


def test_a_key_alone_does_not_tell_what_is_random() -> None:
    told = {scalar.key: scalar.about for scalar in FID(se=True, both=True).scalars}
    assert told["fid_se"] == "value at this N, both sides random"
    assert "unless both=True" in scalar_of("fd_se_dinov2").about


def test_a_reservoir_of_one_half_alone_yields_no_corrected_value() -> None:
    ids = torch.arange(200)
    assert not in_first_half(ids[hashed(ids).argsort()[:2]]).any()
    few = metric_of(FID(se=True, reservoir=2), normal(0, 300, 2), normal(1, 200, 2))
    with pytest.warns(BiasWarning, match="and some of each in the reservoir"):
        assert few.compute()["fd_corrected_features"].isnan()


def test_halves_of_unequal_size_are_extrapolated_by_their_own_ratio() -> None:
    x, y = normal(0, 400, 3).double(), normal(1, 90, 3, 0.4, 1.5).double()
    real, parts = Part(fitted(x), None), [y[:30], y[30:]]
    coupling = Coupling(real.gaussian, fitted(y))
    halves = [Part(fitted(part), part) for part in parts]
    c, *of_halves = (
        less_biased(Coupling(real.gaussian, one.gaussian), real, one).item() for one in (Part(coupling.y, y), *halves)
    )
    ratio = ((90 / 30) ** 2 + (90 / 60) ** 2) / 2
    found = corrected(coupling, real, Part(coupling.y, y), [(real, half) for half in halves])
    assert found.value.item() == pytest.approx(c + (c - sum(of_halves) / 2) / (ratio - 1), rel=1e-9)
    assert found.step.item() == pytest.approx(abs(found.value.item() - c) / 2, rel=1e-9)
    quarter = corrected(coupling, real, Part(coupling.y, y), [(real, Part(fitted(y[i::2]), y[i::2])) for i in (0, 1)])
    of_halves = [
        less_biased(Coupling(real.gaussian, fitted(y[i::2])), real, Part(fitted(y[i::2]), y[i::2])).item()
        for i in (0, 1)
    ]
    assert quarter.value.item() == pytest.approx((4 * c - sum(of_halves) / 2) / 3, rel=1e-9)


def test_the_rest_of_a_half_is_the_moments_of_the_other_samples() -> None:
    half, whole = HalfMoments(3), Moments(3)
    index = torch.arange(200)
    first = in_first_half(index)
    rows = normal(0, 200, 3) + 5 * first[:, None]  # means far apart
    features = Features(pool=rows, index=index)
    rest = half.rest(whole.update(whole.empty(), features), half.update(half.empty(), features))
    expected = whole.update(whole.empty(), Features(pool=rows[~first]))
    torch.testing.assert_close(rest["moments"], expected["moments"], rtol=1e-9, atol=1e-9)
