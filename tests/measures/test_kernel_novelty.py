"""Kernel-entropy novelty: against the authors' matrices, closed forms, its novel modes, errors and edges."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import KEN, PRDC, Features, GenerativeMetrics, NotEnoughSamples

if TYPE_CHECKING:
    import conftest

    from streaming_metrics.measures.novel_modes import NovelModes

REAL = normal(0, 70, 4) + 4 * torch.eye(4)[torch.arange(70) % 2]
FAKE = normal(1, 80, 4) + 4 * torch.eye(4)[torch.arange(80) % 4]
EXACT: dict[str, Any] = {"sigma": 3.0, "frequencies": None}
FOURIER: dict[str, Any] = {"sigma": 3.0, "frequencies": 30}


def ken(real: Tensor, fake: Tensor, **options: Any) -> dict[str, float]:
    return score(KEN(**options), real, fake)


def scores(eigenvalues: np.ndarray) -> dict[str, float]:
    positive = eigenvalues[eigenvalues > 1e-13]
    share = positive / positive.sum()
    entropy = -(share * np.log(share)).sum()
    return {"ken": positive.sum() * entropy, "ken_sum": positive.sum(), "ken_entropy": entropy}


def gaussian(x: Tensor, y: Tensor, sigma: float) -> np.ndarray:
    kernel = (torch.cdist(x.double(), y.double()).square() / (-2 * sigma**2)).exp()
    return kernel.numpy() / np.sqrt(len(x) * len(y))


def of_joint_matrix(real: Tensor, fake: Tensor, sigma: float, eta: float = 1.0) -> dict[str, float]:
    """The authors' matrix, which is not symmetric, and its real eigenvalues."""
    across = np.sqrt(eta) * gaussian(fake, real, sigma)
    joint = np.block([[gaussian(fake, fake, sigma), across], [-across.T, -eta * gaussian(real, real, sigma)]])
    return scores(np.linalg.eigvals(joint).real)


def of_frequencies(real: Tensor, fake: Tensor, sigma: float, r: int, eta: float = 1.0) -> dict[str, float]:
    omega = np.random.RandomState(0).standard_normal((real.shape[1], r)) / sigma
    moments = []
    for side in (fake, real):
        angles = side.double().numpy() @ omega
        phi = np.concatenate([np.cos(angles), np.sin(angles)], 1) / np.sqrt(r)
        moments.append(phi.T @ phi / len(side))
    return scores(np.linalg.eigvalsh(moments[0] - eta * moments[1]))


@pytest.mark.parametrize("eta", [1.0, 0.3, 4.0])
@pytest.mark.parametrize("sigma", [3.0, 0.8])
def test_both_forms_are_what_their_definitions_say(sigma: float, eta: float) -> None:
    exact = ken(REAL, FAKE, sigma=sigma, eta=eta, frequencies=None)
    assert exact == pytest.approx(of_joint_matrix(REAL, FAKE, sigma, eta), rel=1e-6)
    fourier = ken(REAL, FAKE, sigma=sigma, eta=eta, frequencies=30)
    assert fourier == pytest.approx(of_frequencies(REAL, FAKE, sigma, 30, eta), rel=1e-9)


def test_of_many_frequencies_it_is_the_exact_one() -> None:
    exact = ken(REAL, FAKE, **EXACT)
    assert ken(REAL, FAKE, sigma=3.0, frequencies=500) == pytest.approx(exact, rel=0.08)
    assert ken(REAL, FAKE, sigma=3.0, frequencies=5) != pytest.approx(exact, rel=0.08)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize(("eta", "novel", "beyond"), [(1.0, [0.3, 0.1], 0.1), (2.0, [0.3], 0.3)])
def test_modes_far_apart_are_their_differences_of_frequency(eta: float, novel: list[float], beyond: float) -> None:
    """Real shares .5 .5 0, generated ones .6 .1 .3: λ are the positive ones of p − η·q."""
    places = 200 * torch.eye(3)
    real, fake = places[torch.arange(20) % 2], places[torch.tensor([0] * 12 + [1] * 2 + [2] * 6)]
    found = ken(real, fake, sigma=1.0, eta=eta, frequencies=None)
    share = np.array(novel) / sum(novel)
    assert found["ken_sum"] == pytest.approx(sum(novel))
    assert found["ken_entropy"] == pytest.approx(-(share * np.log(share)).sum())
    assert min(novel) == beyond


@pytest.mark.parametrize("form", [EXACT, FOURIER], ids=["exact", "fourier"])
def test_nothing_is_novel_of_the_same_samples(form: dict[str, Any]) -> None:
    assert ken(REAL, REAL, **form) == pytest.approx(dict.fromkeys(("ken", "ken_sum", "ken_entropy"), 0), abs=1e-10)
    assert ken(FAKE, FAKE[:1], **form | {"eta": 0.0}) == pytest.approx(
        {"ken": 0, "ken_sum": 1, "ken_entropy": 0}, abs=1e-9
    )


def test_without_a_threshold_it_is_the_entropy_of_the_generated_side() -> None:
    eigenvalues = np.linalg.eigvalsh(gaussian(FAKE, FAKE, 3.0))
    found = ken(REAL, FAKE, **EXACT, eta=0.0)
    assert found["ken_sum"] == pytest.approx(1)
    assert found["ken"] == pytest.approx(scores(eigenvalues)["ken"], rel=1e-9)


def test_exact_kernels_take_so_many_samples_as_ids_decide() -> None:
    rows, index = torch.cat([FAKE, FAKE + 0.5]), torch.arange(160)
    found = []
    for order in (index, index.flip(0), index[:50]):
        metric = GenerativeMetrics([KEN(**EXACT, most=50)], None, num_features=4)
        metric.update(REAL, real=True)
        metric.update(Features(rows[order], index=order), real=False)
        found.append(metric.compute()["ken_features"].item())
    assert found[0] == found[1] != pytest.approx(found[2], rel=1e-6)


def test_no_sample_on_a_side_is_too_few() -> None:
    with pytest.raises(NotEnoughSamples, match="KEN needs at least 1 real samples, got 0"):
        ken(REAL[:0], FAKE, **FOURIER)


def test_errors_are_the_standard_deviations_over_draws() -> None:
    told, values = [], []
    for seed in range(40):
        fake = normal(seed, 150, 2) + 6 * (torch.rand(150, 1, generator=torch.Generator().manual_seed(seed)) < 0.3)
        found = ken(normal(99, 150, 2), fake, sigma=2.0, frequencies=15, se=True)
        values.append([found[key] for key in ("ken", "ken_sum", "ken_entropy")])
        told.append([found[f"{key}_se"] for key in ("ken", "ken_sum", "ken_entropy")])
    ratios = np.sqrt(np.square(told).mean(0)) / np.std(values, axis=0, ddof=1)
    assert (ratios > 0.75).all()
    assert (ratios < 1.6).all()


# --- novel modes ------------------------------------------------------------------------------------------------------

NOVEL = torch.cat([normal(2, 40, 4), normal(3, 30, 4) + 30, normal(4, 10, 4) / 4 - 30])
"""Generated samples: 40 as real ones are, 30 of one novel mode, 10 of another."""


def modes_of(measures: list[Any], group: Any = None, rank: int = 0, ranks: int = 1, **asked: Any) -> NovelModes | None:
    metric = GenerativeMetrics(measures, None, num_features=4, process_group=group)
    metric.update(normal(5, 60, 4)[rank::ranks], real=True)
    places = torch.arange(len(NOVEL))[rank::ranks]
    metric.update(Features(NOVEL[places], index=places), real=False)
    return metric.inspector().novel_modes(**asked)


FORMS = {
    "exact": [KEN(**EXACT)],
    "a reservoir": [KEN(sigma=3.0, frequencies=300, se=True)],
    "another's bank": [PRDC(k=2), KEN(sigma=3.0, frequencies=300)],
}


@pytest.mark.parametrize("measures", FORMS.values(), ids=FORMS)
def test_novel_modes_are_named_by_their_samples(measures: list[Any]) -> None:
    found = modes_of(measures, n=2)
    assert found is not None
    first, second = (set(ids.tolist()) for ids in found.examples)
    assert first <= {*range(40, 70)}
    assert second <= {*range(70, 80)}
    assert found.frequencies[0] > found.frequencies[1] > 0.05
    assert found.total == pytest.approx(score(KEN(**EXACT), normal(5, 60, 4), NOVEL)["ken_sum"], rel=0.1)


def test_examples_are_among_those_asked_for() -> None:
    found = modes_of([KEN(**EXACT)], n=1, among=torch.arange(45, 48))
    assert found is not None
    assert sorted(found.examples[0].tolist()) == [-1, 45, 46, 47]


def test_without_features_there_are_frequencies_alone_and_without_the_measure_nothing() -> None:
    found = modes_of([KEN(sigma=3.0, frequencies=40)])
    assert found is not None
    assert len(found) == 6
    assert found.examples.shape == (6, 0)
    assert modes_of([PRDC(k=2)]) is None


def of_ranks(group: Any, name: str, ranks: int) -> list[Any]:
    import torch.distributed as dist

    found = modes_of(FORMS[name], group, dist.get_rank(group), ranks, n=2)
    assert found is not None
    return [found.examples.tolist(), found.frequencies.tolist()]


@pytest.mark.parametrize("name", ["exact", "another's bank"])
def test_all_ranks_name_the_same(ranks: conftest.Ranks, name: str) -> None:
    whole = modes_of(FORMS[name], n=2)
    assert whole is not None
    examples, frequencies = zip(*ranks.run(2, of_ranks, name, 2))
    assert examples[0] == examples[1] == whole.examples.tolist()
    assert frequencies[0] == frequencies[1]
    assert frequencies[0] == pytest.approx(whole.frequencies.tolist(), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"), [({"eta": -0.1}, "KEN eta"), ({"sigma": 0}, "KEN sigma"), ({"cluster": 2}, "se=True")]
)
def test_parameters_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KEN(**options)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_two_modes_alone_are_log_2() -> None:
    fake = 200 * torch.eye(4)[torch.arange(20) % 2] + 500
    assert ken(REAL, fake, sigma=1.0, frequencies=None)["ken_entropy"] == pytest.approx(log(2))
