"""MiFID against Kaggle's rule by hand and torchmetrics' own; copies and near copies, zero rows, both forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_hand import lives
from scipy.linalg import sqrtm
from scores import normal, score
from torch import Tensor, nn
from torchmetrics.image import MemorizationInformedFrechetInceptionDistance

from streaming_metrics import FID, BiasWarning, Features, GenerativeMetrics, MiFID, NotEnoughSamples
from streaming_metrics.statistics import CosineDistances, Directions

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")


def ours(real: Tensor, fake: Tensor, train: Tensor | None = None, **options: Any) -> list[float]:
    """Both values, which must be the same whichever side is frozen when."""
    measure = MiFID(training="real", **options) if train is None else MiFID(**options)
    samples = {"real": real, "fake": fake} | ({} if train is None else {"train": train})
    found = []
    for frozen in ("", measure.role):
        metric = GenerativeMetrics([measure], extractor=None, num_features=real.shape[1])
        for role in sorted(samples, key=lambda role: role != frozen):
            for batch in samples[role].split(max(17, len(samples[role]) // 2)):
                metric.update(batch, role=role)
            if role == frozen:
                metric.freeze(role)
        found.append([value.item() for value in metric.compute().values()])
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    return found[0]


def frechet(real: Tensor, fake: Tensor) -> float:
    x, y = real.double().numpy(), fake.double().numpy()
    cx, cy = np.cov(x.T), np.cov(y.T)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * np.real(sqrtm(cx @ cy))))


def nearest(points: Tensor, rows: Tensor) -> float:
    """Mean over points of the smallest ``1 − |cos|``, of rows whose features do not sum to 0."""
    p, r = (side.double()[side.double().sum(1) != 0] for side in (points, rows))
    cosines = (p / p.norm(dim=1, keepdim=True)) @ (r / r.norm(dim=1, keepdim=True)).T
    return float((1 - cosines.abs()).amin(1).mean())


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "width", "mean"), [(30, 40, 3, 0.0), (60, 25, 16, 2.0), (50, 50, 6, -3.0)])
@pytest.mark.parametrize("seed", [0, 10])
def test_value_is_the_competitions_rule(n: int, m: int, width: int, mean: float, seed: int) -> None:
    real, train, fake = (
        normal(seed, n, width, mean),
        normal(seed + 1, n + 9, width, mean),
        normal(seed + 2, m, width, mean),
    )
    far = nearest(fake, train)
    expected = [frechet(real, fake) / ((far if far < 0.1 else 1) + 1e-14), far]
    assert ours(real, fake, train) == pytest.approx(expected, rel=1e-6)
    far = nearest(fake, real)
    assert ours(real, fake) == pytest.approx([frechet(real, fake) / ((far if far < 0.1 else 1) + 1e-14), far], rel=1e-6)


class AsTheyAre(nn.Module):
    """A network whose features are what it is given."""

    num_features = 6

    def forward(self, rows: Tensor) -> Tensor:
        return rows


@pytest.mark.parametrize("mean", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("eps", [0.05, 0.1, 1.0])
def test_the_variant_is_torchmetrics(mean: float, eps: float) -> None:
    real, fake = normal(0, 60, 6, mean), normal(1, 45, 6, mean, 0.9)
    real[:3], fake[:2] = 0, 0
    peer = MemorizationInformedFrechetInceptionDistance(AsTheyAre(), cosine_distance_eps=eps)
    peer.update(real.double(), real=True)
    peer.update(fake.double(), real=False)
    found = score(MiFID(eps, variant="torchmetrics"), real, fake)
    assert found["mifid"] == pytest.approx(peer.compute().item(), rel=1e-6)
    assert found["mifid_distance"] == pytest.approx(nearest(real, fake), rel=1e-6)


@pytest.mark.filterwarnings("ignore:MiFID:streaming_metrics.BiasWarning")
def test_both_variants_of_equal_sides() -> None:
    rows = normal(0, 50, 4)
    assert score(MiFID(variant="torchmetrics"), rows, rows) == {"mifid": 0, "mifid_distance": 0}
    assert ours(rows, rows)[1] == 0


def test_copies_alone_are_told_for_their_value_is_the_best_there_is() -> None:
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 2)
    rows = torch.cat([signs, signs, torch.zeros(1, 2)])  # of covariance 1, without rounding: 0 over 1e-14 is told
    with pytest.warns(BiasWarning, match="nearest real ones point the same way, all of them"):
        assert ours(rows, rows) == [0, 0]
    with pytest.warns(BiasWarning, match="nearest train ones point the same way"):
        ours(normal(1, 50, 2), rows, rows)


@pytest.mark.filterwarnings("ignore:MiFID:streaming_metrics.BiasWarning")
def test_copies_have_no_distance_whatever_their_length() -> None:
    real, fake = normal(0, 60, 8, 1), normal(1, 30, 8, 1)
    train = torch.cat([normal(2, 20, 8), 4 * fake, -0.5 * fake])
    value, far = ours(real, fake, train)
    assert far == 0
    assert value == pytest.approx(frechet(real, fake) / 1e-14, rel=1e-6)


@pytest.mark.parametrize("moved", [1e-3, 1e-5])
def test_near_copies_keep_their_digits(moved: float) -> None:
    """Where cosines are 1 − 1e-10, and float32 knows them to 1e-7."""
    fake = normal(0, 40, 8, 1)
    train = torch.cat([fake + moved * normal(1, 40, 8), normal(2, 40, 8, 1)])
    assert ours(normal(3, 50, 8, 1), fake, train)[1] == pytest.approx(nearest(fake, train), rel=1e-4)


def test_above_the_threshold_it_is_the_frechet_distance() -> None:
    real, fake = normal(0, 60, 16), normal(1, 40, 16)
    value, far = ours(real, fake)
    assert far > 0.1
    assert value == pytest.approx(score(FID(), real, fake)["fid"], rel=1e-12)
    assert ours(real, fake, threshold=0.9)[0] == pytest.approx(value / far, rel=1e-9)
    assert ours(real, fake, threshold=far)[0] == value  # a sample at the threshold is no copy


def test_rows_that_sum_to_0_are_left_out_of_distances_alone() -> None:
    real, fake = normal(0, 60, 4, 2), normal(1, 40, 4, 2)
    value, far = ours(torch.cat([real, torch.zeros(5, 4)]), torch.cat([fake, torch.zeros(20, 4)]))
    assert far == pytest.approx(ours(real, fake)[1], rel=1e-12)
    expected = frechet(torch.cat([real, torch.zeros(5, 4)]), torch.cat([fake, torch.zeros(20, 4)]))
    assert value == pytest.approx(expected / (far + 1e-14), rel=1e-6)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_of_one_feature_all_are_copies() -> None:
    assert ours(normal(0, 9, 1), normal(1, 5, 1))[1] == 0


def test_it_tells_a_copying_generator_from_one_that_does_not() -> None:
    train, held_out, other = (normal(seed, 200, 8, 1) for seed in range(3))
    copying = train + 0.02 * normal(3, 200, 8)
    assert ours(held_out, copying, train)[0] > 20 * ours(held_out, other, train)[0]


# --- forms, ranks, states ---------------------------------------------------------------------------------------------


def test_a_frozen_training_side_leaves_sums_alone_of_generated_samples() -> None:
    samples = {role: Features(normal(n, n, 3), index=torch.arange(n)) for role, n in {"real": 50, "fake": 40}.items()}
    first, *others = lives(MiFID(training="real"), samples, "real").items()
    assert first[1].rows_kept == 40
    for _, lived in others:
        assert lived.values == pytest.approx(first[1].values, rel=1e-12)
        assert lived.rows_kept == 0


def test_binding_leaves_the_moments_of_float64_features_as_they_were() -> None:
    """A bank holds them in float32: moments that are there already are not made of it again."""
    real, fake = (normal(seed, 40, 3).double() + 1e-9 * seed for seed in (1, 2))
    metric = GenerativeMetrics([FID(), MiFID(training="real")], extractor=None, num_features=3)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    expected = score(FID(), real, fake, batch_size=40)["fid"]
    for _ in range(2):
        found = metric.compute()
        assert found["fd_features"].item() == expected
        assert found["mifd_features"].item() == pytest.approx(
            expected / found["mifd_distance_features"].item(), rel=1e-9
        )
        metric.freeze_real()


def test_a_batch_of_nothing_but_zeros_adds_nothing() -> None:
    distances = CosineDistances(3, rows=Directions(normal(0, 5, 3)))
    state = distances.update(distances.empty(), Features(torch.zeros(4, 3)))
    assert {key: value.item() for key, value in state.items()} == {"points": 0, "distances": 0}


@pytest.mark.parametrize("distances", [-0.5, 3.1])
def test_states_that_cannot_be_are_refused(distances: float) -> None:
    with pytest.raises(ValueError, match=r"a sum of distances in \[0, 1\]"):
        CosineDistances(3).check({"points": torch.tensor(3), "distances": torch.tensor(distances).double()})


@pytest.mark.parametrize("places", [[-1, 2], [2, 2], [3, 9]])
def test_places_that_cannot_be_are_refused(places: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending places among 9 rows"):
        MiFID().check_prepared({"places": torch.tensor(places)}, 9)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_samples_without_a_direction_are_refused() -> None:
    some, none = normal(0, 9, 2), torch.zeros(9, 2)
    for real, fake, role in ((none, some, "real"), (some, none, "fake")):
        with pytest.raises(NotEnoughSamples, match=f"{role} samples whose features do not sum to 0, got none. Remedy"):
            ours(real, fake)


def test_too_few_are_refused() -> None:
    with pytest.raises(
        NotEnoughSamples, match=r"MiFID needs at least 1 train samples, got 0. Remedy: .*training=.real"
    ):
        ours(normal(0, 9, 2), normal(1, 9, 2), normal(2, 0, 2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"threshold": 1.5}, "threshold: expected at most 1"),
        ({"threshold": 0.0}, "threshold: expected a number greater than 0"),
        ({"variant": "clean"}, "variant: expected one of"),
        ({"training": "fake"}, "training: expected one of"),
    ],
)
def test_options_that_it_does_not_have_are_refused(options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"MiFID {told}"):
        MiFID(**options)


def test_a_parameter_that_is_the_usual_one_is_no_part_of_its_name() -> None:
    assert MiFID(training="train") == MiFID()
    assert MiFID(variant="torchmetrics", training="real").describe() == "mifid(variant=torchmetrics)"
