"""Numbers where float arithmetic gives out: collapsed sides, scales far apart, features that float32 cannot hold."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal, score

from streaming_metrics import (
    C2ST,
    CAS,
    CMMD,
    FID,
    FKEA,
    FLD,
    FVD,
    IS,
    KEN,
    KID,
    MIND,
    MMD,
    NDB,
    NNAA,
    PPPR,
    PRDC,
    RKE,
    AdaGANCoverage,
    AdversarialDivergence,
    AMScore,
    AuthPct,
    BirthdayParadox,
    BoundaryDistortion,
    ClippedDensityCoverage,
    CTScore,
    FIDInfinity,
    GANTest,
    GenerativeMetrics,
    GeometryScore,
    ImageRetrieval,
    ImageStatistics,
    IntraFID,
    ISInfinity,
    MeanScore,
    MiFID,
    Modes,
    ParzenLikelihood,
    RPrecision,
    SlicedWasserstein,
    TopPR,
    Vendi,
    WassersteinCritic,
)
from streaming_metrics.measures import Measure, gaussian
from streaming_metrics.measures.jackknife import Jackknife
from streaming_metrics.pairwise import BallCounts, Draw, PolynomialKernel, Radii
from streaming_metrics.statistics import (
    Bank,
    FourierMoment,
    Histogram,
    Marginals,
    Moments,
    PacketMoments,
    Projections,
    UnitSum,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def fid(real: Tensor, fake: Tensor) -> float:
    return score(FID(), real.double(), fake.double(), batch_size=400)["fid"]


def nuclear(real: Tensor, fake: Tensor) -> float:
    """FID without covariances: the trace of the root is the nuclear norm of Xc·Ycᵀ, which squares nothing."""
    x, y = real.double().numpy(), fake.double().numpy()
    xc, yc = (side - side.mean(0) for side in (x, y))
    n, m = len(x) - 1, len(y) - 1
    root = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / math.sqrt(n * m)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + (xc**2).sum() / n + (yc**2).sum() / m - 2 * root


def within(seed: int, n: int, rank: int, width: int, smallest: float = 1.0) -> Tensor:
    """Float64 rows in a subspace, its directions of scales 1 down to ``smallest``."""
    directions = torch.linalg.qr(normal(seed, width, rank).double())[0].T
    scales = torch.logspace(0, math.log10(smallest), rank, dtype=torch.float64)
    return normal(seed + 1, n, rank).double() * scales @ directions


# --- FID: the root of the side of lower rank --------------------------------------------------------------------------

WIDTH = 192
COLLAPSED: dict[str, Callable[[], Tensor]] = {
    "one image": lambda: normal(1, 1, WIDTH).repeat(400, 1),
    "two images": lambda: normal(1, 2, WIDTH).repeat(200, 1),
    "20 images": lambda: normal(1, 20, WIDTH).repeat(20, 1),
    "3 dimensions": lambda: within(1, 400, 3, WIDTH),
    "100 dimensions": lambda: within(1, 400, 100, WIDTH),
    "a dead feature": lambda: normal(1, 400, WIDTH) * (torch.arange(WIDTH) != 5),
    "few": lambda: normal(1, 30, WIDTH),
    "few, of 9 images": lambda: normal(1, 9, WIDTH).repeat(4, 1),
}


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("collapsed", COLLAPSED.values(), ids=COLLAPSED)
def test_a_collapsed_side_is_as_exact_generated_as_real(collapsed: Callable[[], Tensor]) -> None:
    whole, side = normal(0, 400, WIDTH), collapsed()
    assert fid(whole, side) == pytest.approx(nuclear(whole, side), rel=1e-12)
    assert fid(side, whole) == pytest.approx(nuclear(whole, side), rel=1e-12)


def test_two_collapsed_sides_of_different_rank() -> None:
    wide, narrow = within(0, 400, 60, WIDTH), within(2, 400, 5, WIDTH)
    for real, fake in ((wide, narrow), (narrow, wide)):
        assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=1e-12)


def test_a_frozen_side_makes_its_root_once_and_only_where_it_is_the_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    square_root = gaussian.square_root
    monkeypatch.setattr(gaussian, "square_root", lambda *given: made.append(given[1]) or square_root(*given))
    metric = GenerativeMetrics([FID()], extractor=None, num_features=64)
    real = normal(0, 300, 64).double()
    metric.update(real, real=True)
    metric.freeze_real()
    epochs = [normal(1, 20, 64), normal(2, 300, 64), within(3, 300, 3, 64), normal(4, 400, 64), normal(5, 10, 64)]
    for fake in epochs:
        metric.reset()
        metric.update(fake.double(), real=False)
        assert metric.compute()["fd_features"].item() == pytest.approx(nuclear(real, fake), rel=1e-12)
    assert made == [19, 64, 64, 9]  # the few; the real side, once; the three dimensions; the few


SCALES = {"rising": (-7, 0), "falling": (0, -7), "rising from 1e-9": (-9, 0)}


@pytest.mark.parametrize(("first", "last"), SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("width", [16, 64])
def test_columns_of_any_scale_in_any_order(first: int, last: int, width: int) -> None:
    scales = torch.logspace(first, last, width, dtype=torch.float64)
    real, fake = (normal(seed, 300, width).double() * scales for seed in (0, 1))
    trace = (real.var(0) + fake.var(0)).sum().item()
    assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=0, abs=2e-14 * trace)


SPECTRA = {
    "decaying to 1e-3, against all": (within(0, 300, 20, 64, 1e-3), normal(2, 300, 64)),
    "decaying to 1e-6, both": (within(0, 300, 20, 64, 1e-6), within(2, 300, 20, 64, 1e-6)),
}


def furthest() -> float:
    pairs = [pair for real, fake in SPECTRA.values() for pair in ((real, fake), (fake, real))]
    return max(abs(fid(*pair) / nuclear(*pair) - 1) for pair in pairs)


def test_what_rounding_accounts_for_is_left_out_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert furthest() < 3e-12
    for far in (-20, -40, -60):
        monkeypatch.setattr(gaussian, "ROUNDING", 2.0**far)
        assert furthest() > 1e-11


# --- KID: a kernel beyond float32 -------------------------------------------------------------------------------------


def kid(measure: KID, real: Tensor, fake: Tensor) -> list[float]:
    return list(score(measure, real, fake, batch_size=400).values())


def u_statistic(real: Tensor, fake: Tensor, degree: int, gamma: float, coef: float) -> float:
    """The unbiased squared MMD in float64, about the mean: what is common to all three terms has gone."""
    x, y = real.double(), fake.double()
    xx, yy, xy = ((gamma * (a @ b.T) + coef) ** degree for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    return ((xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - 2 * xy.mean()).item()


SCALED = {
    "std 1e7": (1e7, {}),
    "std 1e14": (1e14, {}),
    "degree 6": (1e5, {"degree": 6}),
    "gamma 1e12": (1.0, {"gamma": 1e12}),
    "gamma 1e40, std 1e-19": (1e-19, {"gamma": 1e40}),
    "gamma 1e-40": (1.0, {"gamma": 1e-40, "coef": 0.0}),
    "std 1e-14": (1e-14, {"coef": 0.0}),
}


@pytest.mark.parametrize(("scale", "options"), SCALED.values(), ids=SCALED)
def test_kid_at_any_scale_is_float64s(scale: float, options: dict[str, Any]) -> None:
    real, fake = scale * normal(0, 60, 16), scale * normal(1, 50, 16, 0.3, 1.2)
    kernel = {"degree": 3, "gamma": 1 / 16, "coef": 1.0} | options
    expected = u_statistic(real, fake, **kernel)
    assert kid(KID(subsets=None, **options), real, fake)[0] == pytest.approx(expected, rel=1e-5)
    whole = kid(KID(subsets=40, subset_size=50, **options), real[:50], fake)  # each subset is all samples
    assert whole[0] == pytest.approx(u_statistic(real[:50], fake, **kernel), rel=1e-5)
    assert whole[1] == pytest.approx(0, abs=1e-5 * abs(whole[0]))


def test_a_kernel_beyond_float64_is_refused_with_the_remedy() -> None:
    for measure in (KID(subsets=None, degree=12), KID(subsets=2, subset_size=9, degree=12)):
        with pytest.raises(ValueError, match=r"KID: the kernel .* beyond what float64 holds. Remedy: a lower degree"):
            kid(measure, 1e14 * normal(0, 20, 4), 1e14 * normal(1, 20, 4))


# --- features that float32 cannot tell apart --------------------------------------------------------------------------

BANKED = [
    KID(subsets=2, subset_size=4),
    KID(subsets=None, capacity=9),
    PRDC(k=2),
    PRDC(k=2, recall=False),
    SlicedWasserstein(),
]
LOST_IN_FLOAT32: dict[str, Callable[[Tensor], Tensor]] = {
    "mean 1e9": lambda rows: rows + 1e9,
    "mean -1e7": lambda rows: rows - 1e7,
    "one column at 1e9": lambda rows: rows + torch.tensor([1e9, 0, 0]),
    "std 1e-50": lambda rows: 1e-50 * rows,
}
KEPT_IN_FLOAT32: dict[str, Callable[[Tensor], Tensor]] = {
    "mean 1e5": lambda rows: rows + 1e5,
    "mean 1e9, float32": lambda rows: (rows + 1e9).float(),
    "mean 1e9, std 1e6": lambda rows: 1e6 * rows + 1e9,
    "one sample": lambda rows: rows[:1],
    "one sample, often": lambda rows: rows[:1].repeat(9, 1) + 0.1,
    "none": lambda rows: rows[:0],
}


def states(metric: GenerativeMetrics) -> list[Tensor]:
    return [state.clone() for state in metric.metric_state.values()]


@pytest.mark.parametrize("measure", BANKED, ids=repr)
@pytest.mark.parametrize("far", LOST_IN_FLOAT32.values(), ids=LOST_IN_FLOAT32)
def test_float64_that_float32_cannot_tell_apart_is_refused_and_loses_nothing(
    measure: Measure, far: Callable[[Tensor], Tensor]
) -> None:
    metric = GenerativeMetrics([FID(), measure], extractor=None, num_features=3)
    metric.update(normal(0, 9, 3).double(), real=False)
    before = states(metric)
    for update in (metric.update, metric):
        with pytest.raises(ValueError, match=r"fake batch .* lost in float32.*nothing was added. Remedy: subtract"):
            update(far(normal(1, 9, 3).double()), real=False)
    assert all(map(torch.equal, before, states(metric)))


@pytest.mark.parametrize("given", KEPT_IN_FLOAT32.values(), ids=KEPT_IN_FLOAT32)
def test_what_float32_holds_is_taken(given: Callable[[Tensor], Tensor]) -> None:
    metric = GenerativeMetrics(BANKED[:1], extractor=None, num_features=3)
    rows = given(normal(1, 9, 3).double())
    metric.update(rows, real=False)
    assert metric.num_samples("fake") == len(rows)


def test_moments_take_what_float64_holds() -> None:
    real, fake = (normal(seed, 90, 3).double() + 1e9 for seed in (0, 1))
    assert fid(real, fake) == pytest.approx(nuclear(real, fake), rel=1e-5)


def test_points_against_a_reference_are_checked_too(tmp_path: Path) -> None:
    first = GenerativeMetrics([PRDC(k=2)], extractor=None, num_features=3)
    first.update(normal(0, 9, 3), real=True)
    first.save_reference(tmp_path / "real.safetensors")
    measure, reference = PRDC(k=2, recall=False), tmp_path / "real.safetensors"
    metric = GenerativeMetrics([measure], extractor=None, num_features=3, reference=reference)
    with pytest.raises(ValueError, match="lost in float32"):
        metric.update(normal(1, 9, 3).double() + 1e9, real=False)


# --- parameters -------------------------------------------------------------------------------------------------------

NO_INTEGERS = [2.0, 2.5, math.nan, "3", True, np.bool_(True), [3]]
NO_NUMBERS = ["1", True, 1j, [1.0]]
INTEGERS = {
    FID: {"cluster": 1, "reservoir": 2},
    KID: {"subsets": 1, "subset_size": 2, "degree": 1, "seed": 0, "capacity": 1000, "cluster": 1},
    PRDC: {"k": 1, "capacity": 7},
    ClippedDensityCoverage: {"k": 1},
    PPPR: {"k": 1},
    FLD: {"centres": 1, "most": 2},
    TopPR: {"most": 7, "seed": 0},
    MMD: {"most": 20, "permutations": 0, "block": 1, "seed": 0, "cluster": 1},
    Vendi: {"cluster": 1, "reservoir": 2},
    RKE: {"frequencies": 1, "seed": 0, "cluster": 1, "reservoir": 2},
    MIND: {"num_projections": 1, "seed": 0},
    FKEA: {"frequencies": 1, "seed": 0, "cluster": 1, "reservoir": 2},
    KEN: {"frequencies": 1, "seed": 0, "most": 1, "cluster": 1, "reservoir": 2},
    Jackknife: {"blocks": 2, "cluster": 1},
    CTScore: {"cells": 1, "components": 1, "least": 0, "most": 3, "seed": 0},
    NDB: {"bins": 2, "most": 100, "seed": 0},
    Modes: {"modes": 2, "classes": 2, "most": 20, "seed": 0},
    IntraFID: {"classes": 1},
    BirthdayParadox: {"most": 2},
    RPrecision: {"candidates": 2, "r": 1, "most": 100, "seed": 0},
    MeanScore: {"prompts": 2},
    ImageStatistics: {"bins": 1},
    CAS: {"classes": 2},
    GANTest: {"classes": 2},
    BoundaryDistortion: {"classes": 2},
    AdversarialDivergence: {"classes": 2},
    ParzenLikelihood: {"most": 4},
    AdaGANCoverage: {"most": 2},
    ImageRetrieval: {"classes": 1, "most": 1},
    NNAA: {"most": 2},
    IS: {"splits": 1, "num_samples": 1, "split_size": 1, "ddof": 0, "cluster": 1},
    SlicedWasserstein: {"p": 1, "n_projections": 1, "seed": 0},
    WassersteinCritic: {"most": 4, "width": 1, "steps": 1, "seed": 0},
    C2ST: {"most": 4, "permutations": 0, "seed": 0},
    GeometryScore: {"n": 1, "landmarks": 1, "i_max": 1, "most": 1, "seed": 0},
    Draw: {"subsets": 1, "size": 2, "seed": 0},
    PolynomialKernel: {"degree": 1},
    Radii: {"k": 1},
    BallCounts: {"k": 1},
    Bank: {"num_features": 1, "capacity": 1},
    Projections: {"num_features": 1, "num_projections": 1, "seed": 0},
    FourierMoment: {"num_features": 1, "frequencies": 1, "seed": 0},
    PacketMoments: {"packets": 1},
    UnitSum: {"num_features": 1},
    Moments: {"num_features": 1},
    Histogram: {"bins": 1},
    Marginals: {"num_classes": 1, "splits": 1, "num_samples": 1},
}
FLAGS = {
    PacketMoments: ("sized",),
    PRDC: ("recall", "f1", "se", "both"),
    PPPR: ("recall", "se"),
    FLD: ("gap", "se"),
    FID: ("captions", "se", "both"),
    NNAA: ("privacy",),
    CMMD: ("exact",),
    **dict.fromkeys(
        (IS, KID, MMD, Vendi, RKE, FKEA, KEN, AuthPct, AdaGANCoverage, ImageRetrieval, RPrecision), ("se",)
    ),
    CTScore: ("mem", "mode"),
    **dict.fromkeys((CAS, GANTest, BoundaryDistortion, AdversarialDivergence), ("se",)),
}
NEEDED = {
    FID: {"se": True},
    Draw: {"subsets": 3, "size": 8, "seed": 0},
    Radii: {"role": "real"},
    BallCounts: {"balls": "real"},
    Bank: {"num_features": 3},
    Histogram: {"low": 0, "high": 1},
    Projections: {"num_features": 3},
    FourierMoment: {"num_features": 3},
    PacketMoments: {"packets": 3},
    Marginals: {"num_classes": 3},
    Jackknife: {"measure": AMScore()},
    **{cls: {"classes": 2} for cls in (CAS, GANTest, BoundaryDistortion, AdversarialDivergence)},
}
OTHERS = {
    Jackknife: {"measure"},
    MMD: {"widths", "biased"},
    FIDInfinity: {"subsets"},
    ISInfinity: {"subsets"},
    MiFID: {"threshold", "training", "variant"},
    NDB: {"alpha"},
    Modes: {"alpha"},
    IntraFID: {"per_class", "shrinkage"},
    CAS: {"probe", "shrinkage"},
    GANTest: {"probe", "shrinkage"},
    BoundaryDistortion: {"probe", "shrinkage"},
    AdversarialDivergence: {"shrinkage"},
    ParzenLikelihood: {"widths"},
    AdaGANCoverage: {"level", "widths"},
    ImageRetrieval: {"ks"},
    PRDC: {"variant"},
    PPPR: {"a"},
    TopPR: {"alpha"},
    Vendi: {"q"},
    RKE: {"kernel", "sigma"},
    FKEA: {"sigma"},
    KEN: {"sigma", "eta"},
    BirthdayParadox: {"quantile", "threshold", "level"},
    IS: {"assignment"},
    KID: {"gamma", "coef"},
    FVD: {"protocol"},
    C2ST: {"classifier"},
    GeometryScore: {"gamma"},
}


def made(cls: Any, **options: Any) -> Any:
    if cls is Marginals and "num_samples" in options:
        options["assignment"] = "contiguous"
    return cls(**NEEDED.get(cls, {}) | options)


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in INTEGERS.items() for name in names])
def test_what_counts_is_an_integer(cls: Any, name: str) -> None:
    least = INTEGERS[cls][name]
    for wrong in NO_INTEGERS:
        with pytest.raises(TypeError, match=f"{name}: expected an integer"):
            made(cls, **{name: wrong})
    for low in (least - 1, -5):
        with pytest.raises(ValueError, match=f"{name}: expected .*{least}.* got {low}"):
            made(cls, **{name: low})
    assert made(cls, **{name: np.int64(least)}) == made(cls, **{name: least})


@pytest.mark.parametrize("cls", [KID, PolynomialKernel])
@pytest.mark.parametrize(
    ("name", "wrong"), [("gamma", (0, -1, math.nan, math.inf)), ("coef", (-0.5, math.nan, math.inf, -math.inf))]
)
def test_a_kernel_is_positive_definite(cls: Any, name: str, wrong: tuple[float, ...]) -> None:
    for value in wrong:
        with pytest.raises(ValueError, match=f"{name}: expected a .*number"):
            cls(**{name: value})
    for value in NO_NUMBERS:
        with pytest.raises(TypeError, match=f"{name}: expected a number"):
            cls(**{name: value})
    assert cls(**{name: np.float32(0.5)}) == cls(**{name: 0.5})


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in FLAGS.items() for name in names])
def test_a_switch_is_true_or_false(cls: Any, name: str) -> None:
    for wrong in (0, 1, None, "False"):
        with pytest.raises(TypeError, match=f"{name}: expected True or False"):
            made(cls, **{name: wrong})


@pytest.mark.parametrize("cls", Measure.__subclasses__())
def test_every_parameter_of_a_measure_is_in_a_table(cls: Any) -> None:
    if cls.__module__.startswith("streaming_metrics."):
        checked = {*INTEGERS.get(cls, {}), *FLAGS.get(cls, ()), *OTHERS.get(cls, ())}
        assert {f.name for f in fields(cls) if f.name != "on" and not f.name.startswith("_")} == checked


@pytest.mark.parametrize("seed", [b"", b"seed", bytes(5056)])
def test_bytes_that_are_no_generators_state_are_no_seed(seed: bytes) -> None:
    for make in (lambda: KID(seed=seed), lambda: Draw(2, 3, seed)):
        with pytest.raises(ValueError, match="seed: expected the bytes of a torch generator's state"):
            make()
