"""References that others read, or wrote: what is kept of a real side, radii, and .npz files of mean and covariance."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
import torch
from conftest import CLASSES, WIDTH, draw_features
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peers import pytorch_fid_distance
from pytorch_fid.fid_score import compute_statistics_of_path

from streaming_metrics import FID, IS, KID, PRDC, SFID, Features, GenerativeMetrics, Reference, Signature
from streaming_metrics.files.npz import UNKNOWN, GaussianFit
from streaming_metrics.files.outline import Outline
from streaming_metrics.images.find import find_source
from streaming_metrics.pairwise import Radii
from streaming_metrics.signature import library_version
from streaming_metrics.statistics import Bank, Moments

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
trusting = pytest.mark.filterwarnings("ignore:The .npz does not say")

K3 = f"bank_{WIDTH}/3"


def build(*measures: Any, **options: Any) -> GenerativeMetrics:
    options = {"num_features": WIDTH, "num_classes": CLASSES} | options
    return GenerativeMetrics(measures or [FID()], extractor=None, **options)


def with_real(*measures: Any, features: Features | None = None) -> GenerativeMetrics:
    metric = build(*measures)
    metric.update(draw_features(1) if features is None else features, real=True)
    return metric


def values(metric: GenerativeMetrics) -> dict[str, float]:
    metric.update(draw_features(2, shift=0.3), real=False)
    return scores(metric)


def scores(metric: GenerativeMetrics) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


def sweeps_of_the_real_side(metric: GenerativeMetrics) -> int:
    swept = []
    start = Radii.start

    def counted(reduction: Radii, setting: Any) -> Any:
        swept.extend([reduction] * (reduction.role == "real"))
        return start(reduction, setting)

    with mock.patch.object(Radii, "start", counted):
        values(metric)
    return len(swept)


# --- what is said, and what is kept -----------------------------------------------------------------------------------


def test_a_reference_says_what_it_was_made_of(tmp_path: Path) -> None:
    with_real(FID(), PRDC(k=3)).save_reference(tmp_path / "real", data="1f2e3d")
    reference = Reference.load(tmp_path / "real")
    assert reference.fingerprint == f"features-{WIDTH}-{CLASSES}"
    assert reference.num_samples == 40
    about = {"extractor": {"features": WIDTH, "classes": CLASSES}, "measures": ["fid", "prdc(k=3)"]}
    about |= {"kind": "streaming-metrics reference 1", "version": library_version()}
    assert dict(reference.about) == about | {"num_samples": 40, "data": "1f2e3d", "half": False}


def test_features_can_be_left_out(tmp_path: Path) -> None:
    metric = with_real(FID(), PRDC(k=3))
    metric.save_reference(tmp_path / "real", bank=False)
    assert values(build(FID(), reference=tmp_path / "real")) == values(with_real(FID()))
    with pytest.raises(ValueError, match="expected the statistic 'bank_6'"):
        build(PRDC(k=3), reference=tmp_path / "real")


def test_features_can_be_capped(tmp_path: Path) -> None:
    measures = FID(), PRDC(k=3, capacity=16), KID(subsets=4, subset_size=8, capacity=16)
    with_real(FID(), PRDC(k=3)).save_reference(tmp_path / "real", capacity=16)
    assert values(build(*measures, reference=tmp_path / "real")) == pytest.approx(values(with_real(*measures)))


def test_half_precision_scores_as_the_rounded_features_do(tmp_path: Path) -> None:
    real = draw_features(1)
    assert real.pool is not None
    rounded = Features(real.pool.half().float(), real.logits, real.index)
    with_real(PRDC(k=3)).save_reference(tmp_path / "half", half=True)
    loaded = build(PRDC(k=3), reference=tmp_path / "half")
    assert values(loaded) == values(with_real(PRDC(k=3), features=rounded))
    reference = Reference.load(tmp_path / "half")
    assert torch.equal(reference.state_of(Bank(WIDTH))["rows"], rounded.pool)
    nearest = torch.cdist(rounded.pool.double(), rounded.pool.double()).sort(1).values[:, 3]
    assert torch.allclose(reference.radii[K3], nearest**2)


def test_half_precision_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    metric = with_real(PRDC(k=3), features=Features(1e5 * torch.eye(40, WIDTH)))
    with pytest.raises(ValueError, match="65504"):
        metric.save_reference(tmp_path / "half", half=True)
    assert list(tmp_path.iterdir()) == []


# --- guided-diffusion's files: moments of two columns, and images -----------------------------------------------------


def fitted(rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return rows.double().numpy().mean(0), np.cov(rows.double().numpy(), rowvar=False)


def adm_file(path: Path, real: Features, **more: Any) -> Path:
    assert real.pool is not None
    (mu, sigma), (mu_s, sigma_s) = fitted(real.pool), fitted(real.spatial)
    np.savez(path, mu=mu, sigma=sigma, mu_s=mu_s, sigma_s=sigma_s, **more)
    return path


@trusting
def test_guided_diffusions_file_serves_fid_and_sfid(tmp_path: Path) -> None:
    real, fake = draw_features(1), draw_features(2, shift=0.3)
    images = np.zeros((3, 8, 8, 3), np.uint8)
    options = {"extractor": None, "num_features": WIDTH, "widths": {"spatial": real.spatial.shape[1]}}
    metric = GenerativeMetrics([FID(), SFID()], reference=adm_file(tmp_path / "ref.npz", real, arr_0=images), **options)
    whole = GenerativeMetrics([FID(), SFID()], **options)
    whole.update(Features(real.pool, spatial=real.spatial), real=True)
    for one in (metric, whole):
        one.update(Features(fake.pool, spatial=fake.spatial), real=False)
    assert scores(metric) == pytest.approx(scores(whole), rel=1e-9)
    assert "real:npz-" in metric.signature()
    found = find_source(f"{tmp_path / 'ref.npz'}:arr_0"), find_source(f"{tmp_path / 'ref.npz'}:mu")
    assert len(found[0]) == 3  # pyright: ignore[reportArgumentType]
    assert isinstance(found[1], Reference)
    forms = Outline.load(tmp_path / "ref.npz").forms
    assert set(forms) == {"count.n", f"moments_{WIDTH}.moments", f"moments_{real.spatial.shape[1]}_spatial.moments"}


@trusting
def test_spatial_moments_are_written_as_guided_diffusion_reads_them(tmp_path: Path) -> None:
    real = draw_features(1)
    widths = {"spatial": real.spatial.shape[1]}
    metric = GenerativeMetrics([FID(), SFID()], extractor=None, num_features=WIDTH, widths=widths)
    metric.update(Features(real.pool, spatial=real.spatial), real=True)
    metric.save_reference(tmp_path / "ours.npz")
    theirs = np.load(adm_file(tmp_path / "theirs.npz", real))
    with np.load(tmp_path / "ours.npz") as ours:
        assert {name: ours[name] for name in theirs} == {name: pytest.approx(theirs[name]) for name in theirs}


@pytest.mark.parametrize("spoilt", ["mu_s", "sigma_s"])
def test_half_of_the_spatial_moments_is_none(tmp_path: Path, spoilt: str) -> None:
    with np.load(adm_file(tmp_path / "ref.npz", draw_features(1))) as whole:
        np.savez(tmp_path / "half.npz", **{name: whole[name] for name in whole if name != spoilt})
    with pytest.raises(ValueError, match=r"expected arrays mu_s \(D,\) and sigma_s \(D, D\) of floats"):
        Reference.load(tmp_path / "half.npz")


# --- radii ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recall", [True, False])
def test_saved_radii_are_not_measured_again(tmp_path: Path, recall: bool) -> None:
    measure = PRDC(k=3, recall=recall)
    metric = with_real(measure)
    metric.save_reference(tmp_path / "real")
    with mock.patch.object(Radii, "start", side_effect=AssertionError("radii are measured")):
        loaded = build(measure, reference=tmp_path / "real")
    assert sweeps_of_the_real_side(metric) == 1
    assert sweeps_of_the_real_side(loaded) == 0
    assert scores(loaded) == scores(metric)


def test_saved_radii_follow_a_move_and_survive_reset(tmp_path: Path) -> None:
    with_real(PRDC(k=3)).save_reference(tmp_path / "real")
    metric = build(PRDC(k=3), reference=tmp_path / "real").to("cpu").half()
    metric.reset()
    assert sweeps_of_the_real_side(metric) == 0


def test_radii_of_another_k_are_measured(tmp_path: Path) -> None:
    with_real(PRDC(k=3)).save_reference(tmp_path / "real")
    assert sweeps_of_the_real_side(build(PRDC(k=4), reference=tmp_path / "real")) == 1


def test_a_side_that_is_loaded_over_the_reference_has_radii_of_its_own(tmp_path: Path) -> None:
    with_real(PRDC(k=3)).save_reference(tmp_path / "real")
    other = with_real(PRDC(k=3), features=draw_features(7, shift=1.0))
    other.freeze_real()
    metric = build(PRDC(k=3), reference=tmp_path / "real")
    metric.load_state_dict(other.state_dict())
    assert values(metric) == values(other)


def test_radii_stay_with_their_rows_where_ids_came_twice(tmp_path: Path) -> None:
    halves = draw_features(1)[:20], draw_features(1)[20:]
    jobs = [with_real(PRDC(k=3), features=Features(half.pool, half.logits)) for half in halves]
    jobs[0].merge_state(jobs[1])
    jobs[0].save_reference(tmp_path / "real")
    reference = Reference.load(tmp_path / "real")
    state = reference.state_of(Bank(WIDTH))
    assert state["index"].tolist() == list(range(40))
    nearest = torch.cdist(state["rows"].double(), state["rows"].double()).sort(1).values[:, 3]
    assert torch.allclose(reference.radii[K3], nearest**2)


@pytest.mark.parametrize("squared", [torch.zeros(39, dtype=torch.float64), torch.zeros(40), -torch.ones(40).double()])
def test_radii_that_are_none_are_refused(tmp_path: Path, squared: torch.Tensor) -> None:
    with_real(PRDC(k=3)).save_reference(tmp_path / "real")
    whole = Reference.load(tmp_path / "real")
    with pytest.raises(ValueError, match="squared radii"):
        build(PRDC(k=3), reference=Reference(whole.fingerprint, whole.states, {K3: squared}))


# --- .npz of other programs -------------------------------------------------------------------------------------------


def fit(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    pool = draw_features(seed, n, shift=0.3 * seed).pool
    assert pool is not None
    return pool.double().mean(0).numpy(), np.cov(pool.double().numpy(), rowvar=False)


def foreign(path: Path, seed: int = 1) -> Path:
    mu, sigma = fit(seed)
    np.savez_compressed(path, mu=mu, sigma=sigma)
    return path


def test_pytorch_fid_reads_what_is_written_and_finds_the_same_distance(tmp_path: Path) -> None:
    metric = with_real(FID())
    expected = values(metric)["fd_features"]
    for seed, name in ((1, "real"), (2, "fake")):
        with_real(FID(), features=draw_features(seed, shift=0.3 * (seed - 1))).save_reference(tmp_path / name)
        Reference.load(tmp_path / name).save_npz(tmp_path / f"{name}.npz")
    real, fake = (
        compute_statistics_of_path(str(tmp_path / f"{n}.npz"), None, 1, WIDTH, "cpu") for n in ("real", "fake")
    )
    assert pytorch_fid_distance(*real, *fake) == pytest.approx(expected, rel=1e-6)
    again = build(FID(), reference=tmp_path / "real.npz")
    assert values(again)["fd_features"] == pytest.approx(expected, rel=1e-12)
    assert "|real:40|" in again.signature()


def test_what_is_written_says_of_which_features(tmp_path: Path) -> None:
    with_real(FID()).save_reference(tmp_path / "real")
    Reference.load(tmp_path / "real").save_npz(tmp_path / "real.npz")
    with pytest.raises(ValueError, match="expected features of 'features-6-9', got features of 'features-6-5'"):
        build(FID(), num_classes=9, reference=tmp_path / "real.npz")


@trusting
def test_a_foreign_file_gives_the_distance_that_pytorch_fid_gives(tmp_path: Path) -> None:
    expected = pytorch_fid_distance(*fit(1), *fit(2))
    metric = build(FID(), IS(splits=1), reference=foreign(tmp_path / "real.npz"))
    metric.update(draw_features(2, shift=0.6), real=False)
    assert metric.compute()["fd_features"].item() == pytest.approx(expected, rel=1e-6)


@trusting
def test_two_foreign_files_are_compared(tmp_path: Path) -> None:
    metric = build(FID(), reference=foreign(tmp_path / "real.npz"))
    metric.merge_reference(foreign(tmp_path / "fake.npz", 2))
    expected = pytorch_fid_distance(*fit(1), *fit(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of how many samples is not known, so nothing is said of too few
        assert metric.compute()["fd_features"].item() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="unknown number of samples"):
        metric.merge_reference(foreign(tmp_path / "fake.npz", 2))


@trusting
def test_the_covariance_is_the_files_own_bit_by_bit(tmp_path: Path) -> None:
    reference = Reference.load(foreign(tmp_path / "real.npz"))
    state = reference.state_of(Moments(WIDTH))
    mu, sigma = fit(1)
    assert np.array_equal(Moments(WIDTH).mean(state).numpy(), mu)
    assert np.array_equal(Moments(WIDTH).covariance(state).numpy(), (sigma + sigma.T) / 2)
    assert reference.num_samples == UNKNOWN


def test_a_foreign_file_is_taken_on_trust_aloud(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="does not say which extractor and resize.*'features-6-5'"):
        metric = build(FID(), reference=foreign(tmp_path / "real.npz"))
    values(metric)
    signature = Signature.parse(metric.signature())
    assert signature.fake == 40
    assert str(signature.real).startswith("npz-")


@trusting
def test_a_signature_names_an_unknown_side_without_moments_too(tmp_path: Path) -> None:
    metric = build(IS(splits=1), reference=foreign(tmp_path / "real.npz"))
    values(metric)
    assert str(Signature.parse(metric.signature()).real).startswith("npz-")


@trusting
def test_a_foreign_file_serves_no_measure_of_more_than_moments(tmp_path: Path) -> None:
    for measure in (PRDC(k=3), KID(subsets=2, subset_size=8)):
        with pytest.raises(ValueError, match=r"an \.npz holds moments, which serve FID alone"):
            build(measure, reference=foreign(tmp_path / "real.npz"))
    with pytest.raises(ValueError, match=r"expected the statistic 'moments_7', got .*'moments_6'"):
        build(num_features=7, reference=foreign(tmp_path / "real.npz"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "got neither"),
        ({"arr_0": np.zeros((2, 4, 4, 3), np.uint8)}, "got neither"),
        ({"mu": np.zeros(3), "sigma": np.zeros((3, 2))}, r"sigma \(3, 2\)"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, r"mu \(0,\)"),
        ({"mu": np.zeros(3, int), "sigma": np.eye(3)}, "of floats"),
        ({"mu": np.zeros(3), "sigma": np.full((3, 3), np.nan)}, "finite"),
        ({"mu": np.zeros(3), "sigma": -np.eye(3)}, "negative variance"),
        ({"mu": np.zeros(3), "sigma": np.triu(np.ones((3, 3)))}, "symmetric"),
        ({"mu": np.zeros(3), "sigma": np.eye(3), "n": np.array(1)}, "number of samples"),
        ({"mu": np.zeros(3), "sigma": np.eye(3), "fingerprint": np.zeros(3)}, "fingerprint"),
        ({"mu": np.array([{}], object), "sigma": np.eye(1)}, "does not read"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "real.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        Reference.load(tmp_path / "real.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Reference.load(tmp_path / "none.npz")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = foreign(tmp_path / "real.npz")
    expected, whole = GaussianFit.load(path), path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1), label="position")
    if data.draw(st.booleans(), label="truncate"):
        path.write_bytes(whole[:position])
    else:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        path.write_bytes(flipped)
    if (loaded := read_or_refused(path)) is not None:
        assert torch.equal(loaded.mu, expected.mu)
        assert torch.equal(loaded.sigma, expected.sigma)


def read_or_refused(path: Path) -> GaussianFit | None:
    try:
        return GaussianFit.load(path)
    except ValueError:
        return None


def test_a_reference_without_moments_writes_no_npz(tmp_path: Path) -> None:
    with_real(PRDC(k=3)).save_reference(tmp_path / "real")
    with pytest.raises(ValueError, match=r"save_npz\(\): expected moments"):
        Reference.load(tmp_path / "real").save_npz(tmp_path / "real.npz")
    assert not (tmp_path / "real.npz").exists()
