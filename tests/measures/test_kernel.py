"""KID against torch-fidelity, torchmetrics, the U-statistic as it is written, and a literal jackknife."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal, score
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from streaming_metrics import KID, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.pairwise import Draw
from streaming_metrics.verdicts.paired import paired

if TYPE_CHECKING:
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
KERNELS = [(3, None, 1.0), (1, None, 0.0), (2, 0.5, 2.0), (4, 0.01, 0.5)]


def kernel(x: Tensor, y: Tensor, degree: int = 3, gamma: float | None = None, coef: float = 1.0) -> np.ndarray:
    x, y = x.double(), y.double()
    return ((x @ y.T) * (1 / x.shape[1] if gamma is None else gamma) + coef).pow(degree).numpy()


def mmd(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    """The unbiased squared MMD, term by term."""
    n, m = xy.shape
    same = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return same - 2 * xy.mean()


def fidelity(
    real: Tensor, fake: Tensor, subsets: int, size: int, seed: int = 2020, **poly: float | None
) -> list[float]:
    options = {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": seed, "verbose": False}
    options |= {f"kid_kernel_poly_{name}": value for name, value in poly.items()}
    theirs = kid_features_to_metric(fake.double(), real.double(), **options)
    return [theirs["kernel_inception_distance_mean"], theirs["kernel_inception_distance_std"]]


def ours(measure: KID, real: Tensor, fake: Tensor) -> list[float]:
    return list(score(measure, real, fake).values())


# --- over subsets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "m", "width", "subsets", "size"),
    [
        (150, 90, 16, 100, 50),
        (90, 150, 16, 100, 90),
        (90, 1100, 8, 20, 90),
        (1100, 1100, 8, 20, 40),
        (20, 30, 512, 7, 2),
    ],
)
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_subsets_are_torch_fidelitys(n: int, m: int, width: int, subsets: int, size: int, seed: int) -> None:
    real, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.2, 1.1)
    expected = pytest.approx(fidelity(real, fake, subsets, size), rel=1e-6, abs=1e-6)
    assert ours(KID(subsets=subsets, subset_size=size), real, fake) == expected


def test_few_subsets_of_many_samples_are_multiplied_out_alone() -> None:
    draw = Draw(subsets=100, size=1000, seed=2020)
    assert [draw.is_sparse(n, n) for n in (1000, 10_000, 12_000, 50_000)] == [False, False, True, True]


@pytest.mark.parametrize(("degree", "gamma", "coef"), KERNELS)
def test_kernel_and_seed_are_torch_fidelitys(degree: int, gamma: float | None, coef: float) -> None:
    real, fake = normal(0, 60, 8), normal(1, 50, 8, 0.2)
    expected = fidelity(real, fake, 10, 40, seed=7, degree=degree, gamma=gamma, coef0=coef)
    measure = KID(subsets=10, subset_size=40, seed=7, degree=degree, gamma=gamma, coef=coef)
    assert ours(measure, real, fake) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_generated_rows_are_drawn_first() -> None:
    real, fake = normal(0, 60, 4), normal(1, 60, 4, 0.5)
    measure = KID(subsets=5, subset_size=10)
    assert ours(measure, real, fake) != pytest.approx(ours(measure, fake, real), rel=1e-3)


@given(SEEDS)
@settings(max_examples=3, deadline=None)
def test_the_index_says_which_rows_a_subset_holds(seed: int) -> None:
    real, fake = normal(seed, 60, 4), normal(seed + 1, 50, 4, 0.5)
    metric = GenerativeMetrics([KID(subsets=5, subset_size=10)], extractor=None, num_features=4)
    for role, rows in ((True, real), (False, fake)):
        arrival = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        for some in arrival.split(17):
            metric.update(rows[some], real=role, index=3 * some)
    values = [value.item() for value in metric.compute().values()]
    assert values == pytest.approx(fidelity(real, fake, 5, 10), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1e3])
@given(seed=SEEDS)
@settings(max_examples=5, deadline=None)
def test_a_torch_state_draws_as_torchmetrics_does(mean: float, seed: int) -> None:
    real, fake = (features.double() for features in (normal(seed, 70, 8, mean), normal(seed + 1, 50, 8, mean, 1.1)))
    torch.manual_seed(seed)
    state = torch.get_rng_state().numpy().tobytes()
    subsets = []
    for _ in range(6):
        real_rows, fake_rows = (features[torch.randperm(len(features))[:30]] for features in (real, fake))
        subsets.append(poly_mmd(real_rows, fake_rows).item())
    draw = Draw(subsets=6, size=30, seed=state)
    assert draw.state_after(num_real=70, num_fake=50) == torch.get_rng_state().numpy().tobytes()
    slope = max(1, 3 * mean**4)  # of the kernel at mean²: what one unit of xᵀy/D makes of it
    assert ours(KID(subsets=6, subset_size=30, seed=state), real, fake) == pytest.approx(
        [np.mean(subsets), np.std(subsets)], rel=1e-6, abs=1e-6 * slope
    )


# --- over all samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(3, 3), (3, 40), (50, 30)])
@pytest.mark.parametrize(("degree", "gamma", "coef"), KERNELS)
def test_u_statistic_and_jackknife_are_literal(n: int, m: int, degree: int, gamma: float | None, coef: float) -> None:
    real, fake = normal(n, n, 6), normal(m, m, 6, 0.3, 1.2)
    xx, yy, xy = (kernel(x, y, degree, gamma, coef) for x, y in ((real, real), (fake, fake), (real, fake)))
    without_x = [mmd(np.delete(np.delete(xx, i, 0), i, 1), yy, np.delete(xy, i, 0)) for i in range(n)]
    without_y = [mmd(xx, np.delete(np.delete(yy, j, 0), j, 1), np.delete(xy, j, 1)) for j in range(m)]
    variance = (n - 1) * np.var(without_x) + (m - 1) * np.var(without_y)
    measure = KID(subsets=None, degree=degree, gamma=gamma, coef=coef)
    expected = pytest.approx([mmd(xx, yy, xy), variance**0.5], rel=1e-6, abs=1e-6)
    assert ours(measure, real, fake) == expected


@given(SEEDS, st.floats(-1e3, 1e3))
@settings(max_examples=5, deadline=None)
def test_all_samples_at_any_mean(seed: int, mean: float) -> None:
    real, fake = normal(seed, 60, 8, mean), normal(seed + 1, 50, 8, mean, 1.5)
    expected = mmd(kernel(real, real), kernel(fake, fake), kernel(real, fake))
    assert ours(KID(subsets=None), real, fake)[0] == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(1, 3 * mean**4))


@given(SEEDS)
@settings(max_examples=1, deadline=None)
def test_is_unbiased_and_the_standard_error_is_its_deviation(seed: int) -> None:
    draws = [ours(KID(subsets=None), normal(seed + 2 * i, 40, 4), normal(seed + 2 * i + 1, 30, 4)) for i in range(150)]
    values, errors = np.array(draws).T
    assert abs(values.mean()) < 5 * values.std() / len(draws) ** 0.5
    assert values.min() < 0
    assert 0.7 < np.sqrt((errors**2).mean()) / values.std() < 2


def test_identical_sets_are_below_zero_by_the_diagonal() -> None:
    features = normal(0, 40, 4)
    matrix = kernel(features, features)
    between = (matrix.sum() - np.trace(matrix)) / (40 * 39) - matrix.mean()
    assert ours(KID(subsets=None), features, features)[0] == pytest.approx(2 * between, rel=1e-6)


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 9])
def test_fewer_samples_than_a_subset_are_refused(n: int) -> None:
    with pytest.raises(NotEnoughSamples, match=f"KID needs at least 10 real samples, got {n}. Remedy: .*subset_size"):
        ours(KID(subsets=2, subset_size=10), normal(0, n, 3), normal(1, 20, 3))
    with pytest.raises(NotEnoughSamples, match="KID needs at least 3 fake samples, got 2"):
        ours(KID(subsets=None), normal(0, 20, 3), normal(1, 2, 3))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"subsets": 0}, "KID subsets: expected at least 1, got 0"),
        ({"subset_size": 1}, "KID subset_size: expected at least 2, got 1"),
        ({"degree": 0}, "KID degree: expected at least 1, got 0"),
        ({"capacity": 999}, "KID capacity: expected at least 1000, got 999"),
        ({"subsets": None, "capacity": 2}, "KID capacity: expected at least 3, got 2"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        KID(**options)


# --- errors and evidence ----------------------------------------------------------------------------------------------


def test_the_error_beside_subsets_is_that_of_all_samples() -> None:
    real, fake = normal(0, 60, 6), normal(1, 50, 6, 0.3)
    subsets, alone, both = (
        score(KID(subsets=subsets, subset_size=10, se=se), real, fake)
        for subsets, se in ((5, False), (None, False), (5, True))
    )
    assert both == subsets | {"kid_se": alone["kid_se"]}


def test_influences_have_the_error_of_the_jackknife() -> None:
    metric = GenerativeMetrics([KID(subsets=None)], extractor=None, num_features=6)
    metric.update(normal(0, 200, 6), real=True)
    metric.update(normal(1, 300, 6, 0.3), real=False)
    values, [evidence] = metric.compute(), metric.evidence.values()
    assert (evidence.key, evidence.value) == ("kd_features", values["kd_features"].item())
    assert evidence.error == pytest.approx(values["kd_se_features"].item(), rel=0.01)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("times", [1, 3])
def test_samples_that_come_several_times_say_no_more(times: int) -> None:
    real, fake = normal(0, 200, 6), normal(1, 150, 6, 0.5)
    found = score(KID(subsets=None, cluster=times), real, fake.repeat_interleave(times, 0))
    assert found["kid_se"] == pytest.approx(score(KID(subsets=None), real, fake)["kid_se"], rel=0.05)


def test_a_difference_of_checkpoints_is_known_better_than_each() -> None:
    noise, metric = normal(1, 300, 6), GenerativeMetrics([KID(subsets=None)], extractor=None, num_features=6)
    metric.update(normal(0, 300, 6), real=True)
    metric.freeze_real()
    evidence = []
    for shift in (0.3, 0.35):
        metric.reset()
        metric.update(noise + shift, real=False, index=torch.arange(300))
        metric.compute()
        evidence.append(metric.evidence["kd_features"])
    compared = paired(*evidence)
    assert compared.verdict() == "better"
    assert compared.gain > 4
