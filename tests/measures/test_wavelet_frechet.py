"""Fréchet wavelet distance: against PyWavelets and nuclear norms, closed forms, sizes of images, and the edges."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pywt
import torch
from conftest import PACKETS, draw_features
from reference_weights import draw_images
from torch import Tensor

from streaming_metrics import FWD, BiasWarning, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.extractors import WaveletPackets
from streaming_metrics.measures import wavelet_frechet
from streaming_metrics.measures.sizes import kept_by
from streaming_metrics.statistics import Moments, PacketMoments

if TYPE_CHECKING:
    from pathlib import Path

    import conftest


def metric_of(real: Tensor, fake: Tensor) -> GenerativeMetrics:
    metric = GenerativeMetrics([FWD()], "wavelet-packets")
    metric.update(real, real=True)
    for batch in fake.split(17):
        metric.update(batch, real=False)
    return metric


def fwd(real: Tensor, fake: Tensor) -> float:
    return metric_of(real, fake).compute()["fwd_haar4"].item()


def by_definition(real: Tensor, fake: Tensor) -> float:
    """The mean over PyWavelets' packets, ``tr (ΣxΣy)^½`` as the nuclear norm of ``Xc·Ycᵀ``, which squares nothing."""
    distances = []
    for x, y in zip(*map(packets, (real, fake))):
        xc, yc = (side - side.mean(0) for side in (x, y))
        n, m = len(x) - 1, len(y) - 1
        root = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / np.sqrt(n * m)
        means = ((x.mean(0) - y.mean(0)) ** 2).sum()
        distances.append(means + (xc**2).sum() / n + (yc**2).sum() / m - 2 * root)
    return float(np.mean(distances))


def packets(images: Tensor) -> np.ndarray:
    tree = pywt.WaveletPacket2D(images.double().numpy() / 255, "haar", maxlevel=4, axes=(-2, -1))
    return np.stack([node.data.reshape(len(images), -1) for node in tree.get_level(4)])


REAL, FAKE = draw_images(60, 32, 32, seed=0), draw_images(50, 32, 32, seed=1) // 2 + 40
SMALL = 60, 16, 48


def test_it_is_the_mean_over_pywavelets_packets() -> None:
    assert fwd(REAL, FAKE) == pytest.approx(by_definition(REAL, FAKE), rel=1e-6)
    assert fwd(draw_images(*SMALL, seed=2), draw_images(*SMALL, seed=3)) == pytest.approx(
        by_definition(draw_images(*SMALL, seed=2), draw_images(*SMALL, seed=3)), rel=1e-6
    )


@pytest.mark.parametrize(
    "degenerate",
    [
        lambda images: images[:, :1].expand(-1, 3, -1, -1),  # grey: three equal colours
        lambda images: images // 255 * 0 + 7,  # one grey level: no variance at all
        lambda images: images[:, :, :1].expand(-1, -1, 32, -1),  # stripes: most packets are 0
    ],
    ids=["grey", "flat", "stripes"],
)
@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_packets_that_do_not_vary_are_exact(degenerate: partial[Tensor]) -> None:
    real = degenerate(REAL)
    assert fwd(real, FAKE) == pytest.approx(by_definition(real, FAKE), rel=1e-6)
    assert fwd(FAKE, real) == pytest.approx(by_definition(FAKE, real), rel=1e-6)
    assert fwd(real, real) == pytest.approx(0, abs=1e-9)


def test_few_samples_warn_and_are_exact() -> None:
    with pytest.warns(BiasWarning, match="FWD from 9 fake samples, in packets of 12 numbers: covariances are singular"):
        assert fwd(REAL, FAKE[:9]) == pytest.approx(by_definition(REAL, FAKE[:9]), rel=1e-6)


def test_brighter_by_a_constant_moves_the_first_packet_alone() -> None:
    metric = metric_of(FAKE, FAKE + 51)  # 0.2 of white, 16 times that in each coefficient of the first packet
    assert metric.compute()["fwd_haar4"].item() == pytest.approx(12 * 3.2**2 / 256, rel=1e-6)
    distances = FWD().distances(metric.inspector().sides())
    assert distances[0].item() == pytest.approx(12 * 3.2**2, rel=1e-6)
    assert distances[1:].abs().max().item() < 1e-9


def test_half_the_contrast_halves_each_deviation() -> None:
    """Centred Y = cX: the distance is (1 − c)² of the variances."""
    real = torch.randint(0, 64, (60, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5)) * 2
    x = packets(real)
    expected = (0.25 * x.var(1, ddof=1) + (0.5 * x.mean(1)) ** 2).sum() / 256
    assert fwd(real, real // 2) == pytest.approx(expected, rel=1e-6)


def test_packets_at_once_or_few_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fwd(REAL, FAKE)
    monkeypatch.setattr(wavelet_frechet, "AT_ONCE", 5 * 13 * 13)
    assert fwd(REAL, FAKE) == expected


def test_images_of_other_sizes_are_refused_and_lose_nothing() -> None:
    metric = metric_of(REAL, draw_images(20, 64, 64))
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    with pytest.raises(ValueError, match=r"images of one size, got 32 by 32 and 64 by 64; nothing was added"):
        metric.update(draw_images(20, 64, 64), real=True)
    assert all(torch.equal(state, before[name]) for name, state in metric.metric_state.items())
    with pytest.raises(ValueError, match=r"FWD: expected real and generated images of one size, got 32 by 32 and 64 "):
        metric.compute()


def test_images_that_lie_and_that_stand_are_of_two_sizes(tmp_path: Path) -> None:
    """Their packets are equally wide: only the sides tell them apart."""
    lying = draw_images(20, 32, 64)
    standing = lying.mT.contiguous()
    with pytest.raises(ValueError, match="one size, got 32 by 64 and 64 by 32"):
        metric_of(lying, standing).compute()
    metric = metric_of(lying, lying)
    with pytest.raises(ValueError, match="one size, got 32 by 64 and 64 by 32; nothing was added"):
        metric.update(standing, real=False)
    metric.save_reference(tmp_path / "lying.safetensors")
    against = GenerativeMetrics([FWD()], reference=tmp_path / "lying.safetensors")
    against.update(standing, real=False)
    with pytest.raises(ValueError, match="one size, got 32 by 64 and 64 by 32"):
        against.compute()


def test_a_reset_forgets_the_size() -> None:
    metric = metric_of(REAL, FAKE)
    metric.reset()
    for real in (True, False):
        metric.update(draw_images(20, 16, 16, seed=int(real)), real=real)
    assert metric.compute()["fwd_haar4"].item() > 0


def test_one_sample_is_too_few() -> None:
    with pytest.raises(NotEnoughSamples, match="FWD needs at least 2 fake samples, got 1"):
        fwd(REAL, FAKE[:1])


def test_its_extractor_comes_with_it_and_references_hold_its_moments(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FWD()], None, widths={"packets": 256 * 12})
    for images, real in ((REAL, True), (FAKE, False)):
        metric.update(WaveletPackets()(images), real=real)
    assert metric.compute()["fwd_features"].item() == pytest.approx(fwd(REAL, FAKE), rel=1e-9)
    alone = GenerativeMetrics([FWD()])
    assert alone.extractor is not None
    assert alone.extractor.name == "wavelet-packets"
    alone.update(REAL, real=True)
    alone.save_reference(tmp_path / "real.safetensors")
    against = GenerativeMetrics([FWD()], reference=tmp_path / "real.safetensors")
    against.update(FAKE, real=False)
    assert against.compute()["fwd_haar4"].item() == pytest.approx(fwd(REAL, FAKE), rel=1e-9)


def test_a_column_of_no_packets_is_refused() -> None:
    metric = GenerativeMetrics([FWD()], None, widths={"packets": 257})
    with pytest.raises(ValueError, match="expected 256 packets of one width, got 257 numbers a sample"):
        metric.update(Features(packets=torch.zeros(2, 257)), real=True)


# --- the statistic ----------------------------------------------------------------------------------------------------


def test_each_packet_has_the_moments_of_its_columns() -> None:
    statistic, features = PacketMoments(PACKETS // 8), draw_features(0)
    state = statistic.update(statistic.update(statistic.empty(), features[:7]), features[7:])
    for packet, one in enumerate(statistic.each(state)):
        moments = statistic.moments_of(state)
        rows = features.packets[:, 8 * packet : 8 * packet + 8]
        expected = Moments(8).update(Moments(8).empty(), Features(pool=rows))
        torch.testing.assert_close(moments.covariance(one), Moments(8).covariance(expected), rtol=1e-9, atol=1e-12)


def test_sizes_are_told_of_images_of_256() -> None:
    assert str(kept_by([PacketMoments(256)])) == "1.21 GB"


BROKEN = {
    "dtype": lambda moments: moments.float(),
    "counts that differ": lambda moments: moments.index_fill(0, torch.tensor([1]), 0),
    "a mean": lambda moments: moments + torch.eye(9)[0].double() * (1 - torch.eye(9)[0].double()[:, None]),
    "a negative variance": lambda moments: moments - 100 * torch.eye(9, dtype=torch.float64) * (torch.arange(9) > 0),
    "half a sample": lambda moments: moments + 0.5 * torch.eye(9, dtype=torch.float64) * (torch.arange(9) == 0),
    "not finite": lambda moments: moments * torch.nan,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_states_that_no_samples_make_are_refused(broken: partial[Tensor]) -> None:
    statistic = PacketMoments(PACKETS // 8)
    state = statistic.update(statistic.empty(), draw_features(0))
    statistic.check(state)
    with pytest.raises(ValueError, match=r"State packet_moments_32.*: expected"):
        statistic.check({"moments": broken(state["moments"])})


def reduced(group: object, width: int) -> list[float] | str:
    comm, statistic = Comm(group), PacketMoments(4)
    state = statistic.empty()
    if width:
        rows = torch.arange(6.0 * 4 * width).view(6, -1).sin() + comm.rank
        state = statistic.update(state, Features(packets=rows))
    try:
        return statistic.all_reduce(state, comm)["moments"].flatten().tolist()
    except ValueError as error:
        return str(error)


def reduced_of_sides(group: object, sides: tuple[int, int] | tuple[()]) -> list[int] | str:
    comm, statistic = Comm(group), PacketMoments(4, sized=True)
    state = statistic.empty()
    if sides:
        rows = torch.arange(6.0 * 4 * 9).view(6, -1).sin() + comm.rank
        state = statistic.update(state, Features(packets=rows, sides=torch.tensor([sides] * 6).float()))
    try:
        return statistic.all_reduce(state, comm)["sides"].tolist()
    except ValueError as error:
        return str(error)


def test_ranks_without_images_learn_the_size_and_of_two_sizes_all_hear(ranks: conftest.Ranks) -> None:
    told = ranks.run(3, reduced_of_sides, each=[(16, 48), (), (48, 16)])
    assert len({*told}) == 1
    assert "one size, got 16 by 48 and 48 by 16" in told[0]
    assert ranks.run(2, reduced_of_sides, each=[(), (16, 48)]) == [[16, 48]] * 2
    some = ranks.run(3, reduced, each=[0, 3, 3])
    assert some[0] == some[1] == some[2]
    assert some[0][0] == 12
    assert ranks.run(2, reduced, each=[0, 0])[0] == [0.0] * 4
    told = ranks.run(3, reduced, each=[3, 0, 12])
    assert len({*told}) == 1
    assert "expected images of one size" in told[0]


@pytest.mark.parametrize("rank", [2, 5, 8])
def test_a_generated_side_of_few_dimensions_is_as_exact_as_one_of_all(rank: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    draw = partial(torch.randn, dtype=torch.float64, generator=generator)
    whole, few = draw(40, 8), draw(40, rank) @ draw(rank, 8)
    sides, moments = [], Moments(8)
    for rows in (whole, few):
        sides.append(moments.update(moments.empty(), Features(pool=rows))["moments"][None])
    xc, yc = (rows - rows.mean(0) for rows in (whole, few))
    root = torch.linalg.svdvals(xc @ yc.T).sum()
    expected = (whole.mean(0) - few.mean(0)).square().sum() + (xc.square().sum() + yc.square().sum() - 2 * root) / 39
    assert wavelet_frechet.packet_distances(*sides).item() == pytest.approx(expected.item(), rel=1e-12)
