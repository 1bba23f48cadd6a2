"""Protocols: what each decides, what is seen of it where, and how a difference between two is attributed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from doctor_cases import crops, described, examined

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.doctor.examination import Draws, Examination
from streaming_metrics.doctor.explanation import Asked, Valued, ends_of, ranked
from streaming_metrics.doctor.kept import DrawnMoments, drawn_of
from streaming_metrics.doctor.protocols import INCEPTION, MOST, Protocol, Situation
from streaming_metrics.doctor.quantise import RULES, FloatImages, float_image, with_floats
from streaming_metrics.doctor.settings import FACTORS, WORDS, Setting
from streaming_metrics.doctor.waterfall import Waterfall
from streaming_metrics.extractors.names import RESIZE_NAMES
from streaming_metrics.features import Features
from streaming_metrics.images import Unreadable
from streaming_metrics.images.own import OwnDataset

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def test_every_protocol_names_a_resize_that_there_is_and_where_it_was_read() -> None:
    assert {protocol.setting.resize for protocol in INCEPTION} == {*RESIZE_NAMES}
    assert all(protocol.about for protocol in INCEPTION)
    assert len({protocol.name for protocol in INCEPTION}) == len(INCEPTION)
    assert WORDS.keys() == {*FACTORS} == {*vars(Setting())}


def test_a_difference_that_cannot_be_seen_is_taken_away() -> None:
    few = {p.name: p.setting for p in Situation("inception-v3", 1000).protocols()}
    assert few["edm"] == few["torch-fidelity"] == few["guided-diffusion"] == Setting("tf1-bilinear")
    assert few["half of N"].num_samples == 500
    many = Situation("inception-v3", 60_000, has_floats=True, has_file=True, has_tf32=True)
    seen = {p.name: p.setting for p in many.protocols()}
    assert seen["guided-diffusion"] == Setting("tf1-bilinear", None, "truncated", "tf32", "file")
    assert {name for name, setting in seen.items() if setting.num_samples == MOST} == {
        "stylegan3",
        "edm",
        "edm2",
        "dgm-eval",
    }
    assert seen["torchmetrics < 1.8"].precision == "tf32"
    assert many.notes() == []
    assert len(Situation("inception-v3", 1000).notes()) == 3


def test_another_network_has_what_applies_to_any_and_says_what_is_left_out() -> None:
    situation = Situation("efficientnet-lite0", 100, has_floats=True, has_file=True)
    names = [protocol.name for protocol in situation.protocols()]
    assert names == ["antialias", "no antialias", "half of N", "truncated", "reference file", "divided by N"]
    assert "pytorch-fid" in situation.notes()[0]
    assert [p.name for p in Situation("module-x", 3).protocols()] == ["as given", "divided by N"]


def test_steps_change_one_factor_each_in_a_fixed_order_and_add_up() -> None:
    first, last = Setting("clean", 10, "truncated"), Setting("tf1-bilinear", None, "rounded", "tf32", "file", 0)
    worth = {
        name: float(place) for place, name in enumerate(["clean", 10, "truncated", "tf1-bilinear", "tf32", "file", 0])
    }

    def value_of(setting: Setting) -> float:
        return 5 + sum(worth.get(value, 0.0) ** 2 for value in vars(setting).values())

    ends = Protocol("a", first, ""), Protocol("b", last, "")
    found = Waterfall.between(*ends, value_of)
    assert [step.factor for step in found.steps] == [WORDS[factor] for factor in FACTORS]
    assert found.start + sum(step.change for step in found.steps) == pytest.approx(found.end)
    assert sum(step.share or 0 for step in found.steps) == pytest.approx(1)
    assert Waterfall.between(ends[0], ends[0], value_of).steps == ()


def valued(**values: float) -> list[Valued]:
    return [Valued(Protocol(name.replace("_", " "), Setting(), ""), value) for name, value in values.items()]


def test_ends_are_the_furthest_apart_that_somebody_uses_or_those_asked_for() -> None:
    alike = valued(a=2.0, half_of_N=9.0, b=1.0)
    assert [end.name for end in ends_of(alike, Asked())] == ["b", "half of N"]
    several = [*valued(a=2.0, b=1.0, half_of_N=9.0), Valued(Protocol("c", Setting("clean"), ""), 3.0)]
    assert [end.name for end in ends_of(several, Asked())] == ["b", "c"]
    assert [end.name for end in ends_of(several, Asked(last="half of N"))] == ["b", "half of N"]
    assert [end.name for end in ends_of(several, Asked(claim=2.9))] == ["a", "c"]


def test_ends_are_not_told_apart_by_rounding() -> None:
    alike = valued(a=2.0, b=2.0 + 1e-8, c=1.0, d=1.0 - 1e-8)
    assert [end.name for end in ends_of(alike, Asked())] == ["c", "a"]
    assert [end.name for end in ends_of(valued(a=0.0, b=0.0), Asked())] == ["a", "a"]


def test_protocols_are_ranked_by_how_near_they_come_to_a_claim() -> None:
    rows = ranked(valued(a=2.0, b=1.0, c=3.0), claim=2.4)
    assert [row["name"] for row in rows] == ["a", "c", "b"]
    assert rows[0]["off"] == pytest.approx(-0.4)
    assert rows[0]["relative"] == pytest.approx(-1 / 6)
    with pytest.raises(ValueError, match="expected a distance, 0 or more"):
        Asked(claim=-1.0).check([])
    with pytest.raises(ValueError, match="Did you mean 'clean-fid'"):
        Asked(first="cleanfid").check(INCEPTION)


def test_values_are_those_that_fid_itself_computes() -> None:
    real, fake = crops(seed=1), crops(seed=2)
    seen, protocols = examined(real, fake)
    metric = GenerativeMetrics([FID()], described())
    metric.update(real, real=True)
    metric.update(fake, real=False)
    expected = metric.compute()["fd_described"].item()
    assert seen.value(protocols[0].setting) == pytest.approx(expected, rel=1e-9)
    drawn = drawn_of(len(fake), len(fake) // 2, 0)
    metric.reset()
    metric.update(real, real=True)
    metric.update(fake[drawn], real=False)
    half = replace(protocols[0].setting, num_samples=len(fake) // 2)
    assert seen.value(half) == pytest.approx(metric.compute()["fd_described"].item(), rel=1e-6)


def test_covariances_divided_by_n_are_numpys_with_ddof_0() -> None:
    import numpy as np
    from scipy.linalg import sqrtm

    real, fake = crops(seed=1), crops(seed=2)
    seen, protocols = examined(real, fake)
    x, y = (described()(images).pool.double().numpy() for images in (real, fake))
    one, other = (np.cov(rows, rowvar=False, ddof=0) for rows in (x, y))
    root = np.real(sqrtm(one @ other))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root)
    assert seen.value(replace(protocols[0].setting, ddof=0)) == pytest.approx(expected, rel=1e-6)


def test_drawn_moments_are_of_the_drawn_rows_whatever_the_batches() -> None:
    rows, moments = torch.arange(24.0).view(12, 2).sin(), DrawnMoments(2, total=12, drawn=5, seed=3)
    state = moments.empty()
    for ids in torch.randperm(12).split(5):
        state = moments.update(state, Features(pool=rows[ids], index=ids))
    chosen = rows[drawn_of(12, 5, 3)].double()
    assert (moments.count(state).item(), len(chosen)) == (5, 5)
    assert torch.allclose(moments.covariance(state), torch.cov(chosen.T))
    assert not (drawn_of(12, 5, 3) & ~drawn_of(12, 8, 3)).any()


def test_rounding_gives_back_what_was_8_bits_and_truncation_is_darker() -> None:
    images = crops(8, seed=1)
    floats = [image.float() / 127.5 - 1 for image in images]
    source = with_floats(OwnDataset(floats, "floats"), (-1, 1), ("rounded", "truncated"))
    rounded, truncated = torch.stack([source[i] for i in range(8)]).split(3, dim=1)
    assert torch.equal(rounded, images)
    jittered = with_floats(OwnDataset([f + 0.4 / 127.5 for f in floats], "floats"), (-1, 1.01), tuple(RULES))
    assert (jittered[0][:3].float() - jittered[0][3:].float()).mean() >= 0
    assert (truncated <= rounded).all()
    levels = torch.linspace(0.1, 254.9, 1000, dtype=torch.float64)  # of which none is between two
    assert torch.equal(RULES["rounded"](levels), (127.5 * (levels / 127.5 - 1) + 128).floor())


def test_floats_need_their_range_and_must_keep_to_it() -> None:
    floats = OwnDataset([torch.zeros(3, 4, 4)], "floats")
    with pytest.raises(ValueError, match="Remedy: --value-range"):
        with_floats(floats, None, ("rounded",))
    with pytest.raises(Unreadable, match=r"expected floats in \[0, 1\], got -1 to -1"):
        FloatImages([torch.full((3, 4, 4), -1.0)], "floats", (0, 1), ("rounded",))[0]
    eight = OwnDataset([torch.zeros(3, 4, 4, dtype=torch.uint8)], "bytes")
    assert with_floats(eight, None, ("rounded",)) is eight
    assert float_image({"x": torch.zeros(1, 4, 4), "y": 3}) is not None
    assert float_image((torch.zeros(4, 4, 3), 1)).shape == (3, 4, 4)  # pyright: ignore


def test_each_rule_has_its_value_and_rounding_that_of_8_bits() -> None:
    real, fake = crops(seed=1), crops(seed=2)
    seen = Examination({("", "fp32"): described()}, Draws(len(fake)), ("rounded", "truncated"))
    ids = torch.arange(len(fake))
    seen.update(real, real=True, index=ids)
    seen.update(torch.cat([fake, (fake.float() - 3).clamp(0).to(torch.uint8)], 1), real=False, index=ids)
    plain, _ = examined(real, fake)
    assert seen.value(Setting()) == pytest.approx(plain.value(Setting()), rel=1e-9)
    assert seen.value(Setting(quantisation="truncated")) > seen.value(Setting())
