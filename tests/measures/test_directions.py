"""Directions of the difference: their parts add up to the distance, closed forms, and planted faults that they show."""

from __future__ import annotations

import pytest
import torch
from scores import normal

from streaming_metrics import Features
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.directions import axes_of, directions_of
from streaming_metrics.measures.frechet_errors import Coupling
from streaming_metrics.measures.gaussian import Gaussian, frechet_distance
from streaming_metrics.measures.kept_rows import KeptRows
from streaming_metrics.statistics import Moments

WIDTH = 8


def fitted(rows: torch.Tensor) -> Gaussian:
    moments = Moments(rows.shape[1])
    return Gaussian(moments, moments.update(moments.empty(), Features(rows)), len(rows))


def kept(rows: torch.Tensor) -> KeptRows:
    return KeptRows(rows, torch.arange(len(rows)), len(rows), Comm.single())


SIDES = {
    "regular": (normal(0, 300, WIDTH), normal(1, 200, WIDTH, 0.3) @ normal(2, WIDTH, WIDTH)),
    "equal": (normal(0, 300, WIDTH), normal(0, 300, WIDTH)),
    "fewer generated samples than features": (normal(0, 300, WIDTH), normal(1, 5, WIDTH, 0.3)),
    "fewer real samples than features": (normal(0, 5, WIDTH), normal(1, 300, WIDTH, 0.3)),
    "few of both": (normal(0, 4, WIDTH), normal(1, 5, WIDTH)),
    "a feature that only generated samples have": (
        normal(0, 90, WIDTH).index_fill(1, torch.tensor(2), 1),
        normal(1, 90, WIDTH),
    ),
    "a feature that only real samples have": (
        normal(0, 90, WIDTH),
        normal(1, 90, WIDTH).index_fill(1, torch.tensor(2), 1),
    ),
}


@pytest.mark.parametrize("name", SIDES)
def test_parts_of_orthonormal_directions_add_up_to_the_distance(name: str) -> None:
    coupling = Coupling(*map(fitted, SIDES[name]))
    axes = axes_of(coupling)
    distance, scale = frechet_distance(coupling.x, coupling.y), coupling.x.trace + coupling.y.trace
    assert float((axes.shift + axes.parts.sum() + axes.outside - distance).abs()) < 1e-7 * float(scale)
    assert torch.allclose(axes.vectors.T @ axes.vectors, torch.eye(WIDTH, dtype=torch.float64), atol=1e-9)
    assert (axes.parts.diff() <= 0).all()


@pytest.mark.parametrize("name", ["regular", "fewer generated samples than features"])
def test_spreads_are_those_of_the_rows_along_the_directions(name: str) -> None:
    real, fake = SIDES[name]
    axes = axes_of(Coupling(fitted(real), fitted(fake)))
    for rows, spread in ((real, axes.real_spread), (fake, axes.fake_spread)):
        torch.testing.assert_close((rows.double() @ axes.vectors).std(0), spread, rtol=1e-5, atol=1e-6)


def test_a_distance_along_features_is_that_of_each() -> None:
    """Where covariances commute, the parts are the squared differences of standard deviations."""
    real = normal(0, 400, WIDTH).double()
    real = torch.linalg.qr(real - real.mean(0))[0] * 20 * torch.arange(1.0, WIDTH + 1)
    stretch = torch.tensor([1.0, 0.5, 1.5, 1.0, 0.2, 1.1, 1.0, 1.05])
    axes = axes_of(Coupling(fitted(real), fitted(real * stretch)))
    expected = ((stretch - 1) * real.std(0)).square()
    torch.testing.assert_close(axes.parts, expected.double().sort(descending=True).values, rtol=1e-4, atol=1e-6)


def test_a_missing_and_an_invented_mode_are_shown_by_their_images() -> None:
    """Of 8 clusters the generator lacks one, and has one of its own."""
    centres, clusters = 6 * normal(5, 10, 32), torch.arange(1600) % 8
    real = normal(0, 1600, 32) + centres[clusters]
    fake_clusters = torch.where(clusters == 3, 8, clusters)
    fake = normal(1, 1600, 32) + centres[fake_clusters]
    sides = kept(real), kept(fake)
    found = directions_of(Coupling(fitted(real), fitted(fake)), *sides, Comm.single(), n=4)
    places = range(len(found))
    missing = [set(clusters[found.real_examples[k]].tolist()) for k in places if found.is_missing[k]]
    invented = [set(fake_clusters[found.fake_examples[k]].tolist()) for k in places if not found.is_missing[k]]
    assert missing[0] == {3}
    assert invented[0] == {8}
    assert set(clusters[found.shift_real_examples].tolist()) == {3}
    assert set(fake_clusters[found.shift_fake_examples].tolist()) == {8}


def test_directions_that_add_nothing_are_left_out() -> None:
    real = normal(0, 300, WIDTH)
    fake = real.clone()
    fake[:, 2] *= 3
    found = directions_of(Coupling(fitted(real), fitted(fake - fake.mean(0) + real.mean(0))), None, None, Comm.single())
    assert 1 <= len(found) <= 2
    assert found.real_examples.shape == (len(found), 0)
