"""R-precision against a loop over images in NumPy, by chance, in both forms, and where captions are too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scores import normal
from sklearn.metrics.pairwise import cosine_similarity

from streaming_metrics import Features, GenerativeMetrics, NotEnoughSamples, RPrecision, caption_hashes
from streaming_metrics.statistics import CaptionPool
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 5


def build(measure: RPrecision, width: int = WIDTH) -> GenerativeMetrics:
    return GenerativeMetrics([measure], extractor=None, num_features=width, widths={"text": width})


def side(images: Tensor, text: Tensor, captions: Tensor) -> Features:
    return Features(images, text=text, captions=captions, index=torch.arange(len(images)))


def r_precision(measure: RPrecision, real: Features, fake: Features) -> float:
    """R-precision, which must be the same before and after the real side is frozen."""
    metric = build(measure)
    metric.update(real, real=True)
    for batch in torch.arange(len(fake)).split(13):
        metric.update(fake[batch], real=False)
    unbound = metric.compute()["r_precision_features"].item()
    metric.freeze_real()
    assert metric.compute()["r_precision_features"].item() == unbound
    return unbound


def drawn(seed: int, n: int, noise: float, first: int = 0) -> Features:
    """Images that show their captions up to noise, each with a caption of its own."""
    text = normal(seed, n, WIDTH)
    return side(text + noise * normal(seed + 1, n, WIDTH), text, hashed(torch.arange(first, first + n)))


def by_hand(measure: RPrecision, real: Features, fake: Features) -> float:
    """As the paper says it, an image at a time, its 99 others those that the pool draws."""
    assert real.captions is not None
    assert fake.captions is not None
    pool = CaptionPool(real.captions, real.text, measure.seed)
    places = pool.others(fake.captions, measure.candidates - 1)
    found = 0
    for image, text, others in zip(fake.pool, fake.text, places):  # pyright: ignore[reportArgumentType]
        candidates = np.concatenate([text[None].numpy(), real.text[others].numpy()]).astype(np.float64)
        ranks = np.argsort(-cosine_similarity(image[None].double().numpy(), candidates)[0], kind="stable")
        found += 0 in ranks[: measure.r]
    return found / len(fake)


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("candidates", "r"), [(2, 1), (20, 1), (20, 3), (40, 5)])
@given(seed=st.integers(0, 2**31 - 1), noise=st.floats(0.1, 3))
def test_value_is_that_of_a_loop_over_images(candidates: int, r: int, seed: int, noise: float) -> None:
    real, fake = drawn(seed, 40, 0), drawn(seed + 2, 16, noise, first=32)  # half of them have captions of the pool
    measure = RPrecision(candidates, r, seed=seed % 1000)
    assert r_precision(measure, real, fake) == by_hand(measure, real, fake)


def test_images_of_their_captions_are_all_found_and_others_by_chance() -> None:
    real = drawn(0, 400, 0)
    assert r_precision(RPrecision(), real, real) == 1
    strangers = real.having(pool=normal(5, 400, WIDTH))
    assert r_precision(RPrecision(candidates=10), real, strangers) == pytest.approx(0.1, abs=0.05)
    assert r_precision(RPrecision(candidates=10, r=4), real, strangers) == pytest.approx(0.4, abs=0.08)
    assert r_precision(RPrecision(candidates=10, r=10), real, strangers) == 1


def test_it_depends_on_directions_alone() -> None:
    real, fake = drawn(0, 60, 0), drawn(2, 50, 1.0)
    scale = torch.logspace(-3, 3, 50).unsqueeze(1)
    scaled = fake.having(pool=fake.pool * scale, text=fake.text / scale)
    assert r_precision(RPrecision(30), real, scaled) == r_precision(RPrecision(30), real, fake)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_ties_count_against_the_image() -> None:
    real = side(torch.ones(30, WIDTH), torch.ones(30, WIDTH), torch.arange(30))  # different captions of one embedding
    assert r_precision(RPrecision(10), real, real) == 0
    zeros = real.having(pool=torch.zeros(30, WIDTH), text=normal(0, 30, WIDTH))  # without a direction
    assert r_precision(RPrecision(10), real, zeros) == 0
    assert r_precision(RPrecision(10, r=10), real, zeros) == 1


# --- candidates -------------------------------------------------------------------------------------------------------


def test_candidates_are_different_captions_and_never_the_own_one() -> None:
    captions = hashed(torch.arange(50))
    places = CaptionPool(captions, torch.zeros(50, 1), seed=3).others(captions, 49)
    for own, others in enumerate(places.tolist()):
        assert sorted([own, *others]) == list(range(50))


def test_candidates_depend_on_the_caption_and_the_seed_alone() -> None:
    captions, asked = hashed(torch.arange(300)), hashed(torch.arange(1000, 1040))
    first = CaptionPool(captions, torch.zeros(300, 1), seed=0)
    places = first.others(asked, 20)
    assert torch.equal(first.others(asked[[5, 31]], 20), places[[5, 31]])
    other = CaptionPool(captions, torch.zeros(300, 1), seed=1).others(asked, 20)
    shared = torch.stack([torch.isin(a, b).sum() for a, b in zip(places, other)]).double()
    assert shared.mean() == pytest.approx(20 * 20 / 300, abs=0.6)  # as of independent draws
    counts = torch.bincount(first.others(hashed(torch.arange(5000, 9000)), 20).flatten(), minlength=300)
    assert counts.min() > 200 < counts.max() < 340  # 267 each, on average


def test_of_several_samples_with_one_caption_the_first_id_gives_the_text() -> None:
    real = drawn(0, 40, 0)
    again = real.having(pool=real.pool + 9, text=real.text + 9, index=torch.arange(100, 140))
    fake = drawn(2, 30, 1.0)
    twice = Features(**{name: torch.cat([again.columns()[name], real.columns()[name]]) for name in real.columns()})
    assert r_precision(RPrecision(30), twice, fake) == r_precision(RPrecision(30), real, fake)


def test_captions_may_be_texts() -> None:
    texts = [f"a photograph of {n} cats" for n in range(30)]
    real, fake = drawn(0, 30, 0), drawn(0, 30, 1.5)
    values = []
    for captions in (texts, caption_hashes(texts)):
        metric = build(RPrecision(20))
        metric.update(real.having(captions=None), real=True, captions=captions)
        metric.update(fake.having(captions=None), real=False, captions=captions)
        values.append(metric.compute()["r_precision_features"].item())
    assert values[0] == values[1] < 1


# --- forms ------------------------------------------------------------------------------------------------------------


def test_against_a_reference_two_counts_are_kept(tmp_path: object) -> None:
    path = f"{tmp_path}/real.safetensors"
    real, fake = drawn(0, 40, 0), drawn(2, 30, 1.0)
    first = build(RPrecision(20))
    first.update(real, real=True)
    first.save_reference(path)
    metric = GenerativeMetrics(
        [RPrecision(20)], extractor=None, num_features=WIDTH, widths={"text": WIDTH}, reference=path
    )
    metric.compute_possible()  # ranks meet, and it binds
    size = sum(state.nbytes for state in metric.metric_state.values())
    metric.update(fake, real=False)
    assert sum(state.nbytes for state in metric.metric_state.values()) == size
    assert metric.compute()["r_precision_features"].item() == by_hand(RPrecision(20), real, fake)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_captions_that_are_too_few_are_refused_at_freeze_and_at_compute() -> None:
    real = drawn(0, 60, 0)
    assert real.captions is not None
    metric = build(RPrecision(20))
    metric.update(real.having(captions=real.captions[torch.arange(60) % 19]), real=True)
    metric.update(real, real=False)
    for call in (metric.compute, metric.freeze_real):
        with pytest.raises(NotEnoughSamples, match=r"needs 20 different captions, got 19 of 60 real samples"):
            call()
    assert not metric.is_frozen
    few = build(RPrecision(20))
    few.update(real[:19], real=True)
    few.update(real, real=False)
    with pytest.raises(NotEnoughSamples, match=r"RPrecision\(candidates=20\) needs at least 20 real samples, got 19"):
        few.compute()


@pytest.mark.parametrize("column", ["text", "captions"])
def test_a_batch_without_its_text_or_captions_is_refused(column: str) -> None:
    metric = build(RPrecision(20))
    for role in ("real", "fake"):
        with pytest.raises(ValueError, match=f"{role} batch .*expected {column}"):
            metric.update(drawn(0, 30, 0).having(**{column: None}), role=role)
        assert metric.num_samples(role) == 0


def test_widths_that_do_not_agree_are_refused() -> None:
    with pytest.raises(ValueError, match="images and texts of one width, got 5 and 4"):
        GenerativeMetrics([RPrecision()], extractor=None, num_features=5, widths={"text": 4})
    with pytest.raises(ValueError, match=r"RPrecision needs text, and this extractor yields none.*`widths=`"):
        GenerativeMetrics([RPrecision()], extractor=None, num_features=5)
    with pytest.raises(ValueError, match="widths: expected none beside an extractor"):
        GenerativeMetrics([RPrecision()], torch.nn.Flatten(), num_features=12, widths={"text": 12})
    with pytest.raises(ValueError, match="column: expected a network's column, got 'labels'"):
        GenerativeMetrics([RPrecision()], extractor=None, num_features=5, widths={"labels": 5})


def test_more_candidates_than_are_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="RPrecision most: expected at least 100, got 50"):
        RPrecision(most=50)
    with pytest.raises(ValueError, match="RPrecision r: expected 1 to 100, got 101"):
        RPrecision(r=101)
