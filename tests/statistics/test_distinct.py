"""Repeats are found by what they are: the hash, the sketch of distinct samples, and what is said of them."""

# ruff: noqa: ARG001, ARG002 (hooks and samplers have fixed arguments)

from __future__ import annotations

import json
import pickle
import re
import warnings
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from typer.testing import CliRunner

from streaming_metrics import (
    FID,
    IS,
    Features,
    GenerativeMetrics,
    Reference,
    RepeatsWarning,
    merge_states,
)
from streaming_metrics.cli import app
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.files.npz import digest_of_moments
from streaming_metrics.image import FrechetInceptionDistance, InceptionScore
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.statistics import Distinct, hashes
from streaming_metrics.statistics.hashes import hashes_of
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Ranks

    from streaming_metrics.statistics import State

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
]

SIDE, WIDTH = 8, 3 * 8 * 8


def drawn(n: int, seed: int = 0, side: int = SIDE) -> Tensor:
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def on_pixels(**options: Any) -> GenerativeMetrics:
    return GenerativeMetrics([FID()], nn.Flatten(), tag="pixels", num_features=WIDTH, **options)


def said_by(act: Callable[[], Any]) -> list[str]:
    """Return what is said of repeats."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(warning.message) for warning in caught if issubclass(warning.category, RepeatsWarning)]


# --- the hash ---------------------------------------------------------------------------------------------------------


def one_byte_changes() -> Tensor:
    """An image, and those that differ from it in one byte: in its lowest and its highest bit, and by some more."""
    image = drawn(1).flatten()
    deltas = torch.tensor([0, 1, 2, 64, 128, 255, 77], dtype=torch.uint8)
    changed = image.repeat(len(deltas), WIDTH, 1)
    changed[:, torch.arange(WIDTH), torch.arange(WIDTH)] ^= deltas[:, None]
    return torch.cat([image[None], changed[1:].reshape(-1, WIDTH)]).view(-1, 3, SIDE, SIDE)


def black_but_one_byte() -> Tensor:
    images = torch.zeros(255, WIDTH, WIDTH, dtype=torch.uint8)
    images[:, torch.arange(WIDTH), torch.arange(WIDTH)] = torch.arange(1, 256, dtype=torch.uint8)[:, None]
    return images.view(-1, 3, SIDE, SIDE)


def constants() -> Tensor:
    levels = torch.arange(0, 256, 17, dtype=torch.uint8)
    return torch.cartesian_prod(levels, levels, levels)[:, :, None, None].expand(-1, -1, SIDE, SIDE)


def shifts_of_a_crop() -> Tensor:
    scene = drawn(1, side=48)[0]
    return scene.unfold(1, SIDE, 1).unfold(2, SIDE, 1).flatten(1, 2).movedim(1, 0)


def top_bytes_of_words() -> Tensor:
    images = torch.zeros(4096, WIDTH, dtype=torch.uint8)
    for place, byte in enumerate((7, 15)):
        images[:, byte] = ((torch.arange(4096) >> (6 * place)) % 64 * 4).to(torch.uint8)
    return images.view(-1, 3, SIDE, SIDE)


ALIKE = [one_byte_changes, black_but_one_byte, constants, shifts_of_a_crop, top_bytes_of_words]


def collisions(hashed: Callable[[Tensor], Tensor], images: Tensor) -> int:
    assert len(images.flatten(1).unique(dim=0)) == len(images)
    return len(images) - len(hashed(images).unique())


def linear(images: Tensor) -> Tensor:
    """A dot product with odd weights over 64-bit words, which does not do."""
    words = images.contiguous().flatten(1).view(torch.int64)
    return hashed((words * (hashed(torch.arange(words.shape[1])) | 1)).sum(1))


@pytest.mark.parametrize("alike", ALIKE, ids=lambda f: f.__name__)
def test_images_that_are_nearly_alike_do_not_collide(alike: Callable[[], Tensor]) -> None:
    assert collisions(hashes_of, alike()) == 0


def test_a_linear_hash_fails_that_test() -> None:
    found = {alike.__name__: collisions(linear, alike()) for alike in ALIKE}
    assert found["black_but_one_byte"] > 1000
    assert found["top_bytes_of_words"] > 1000


def test_hashes_are_uniform() -> None:
    """Collisions of either half at the birthday rate, every byte as often as it should be."""
    found = torch.cat([hashes_of(black_but_one_byte()), hashes_of(constants())])
    n = len(found)
    for half in (found >> 32, found & 0xFFFFFFFF):
        assert n - len(half.unique()) <= 5
    for byte in range(8):
        counts = ((found >> (8 * byte)) & 255).bincount(minlength=256)
        assert 150 < ((counts - n / 256) ** 2 / (n / 256)).sum() < 370


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda images: images.contiguous(memory_format=torch.channels_last),
    "an odd offset": lambda images: torch.cat([images.flatten()[:3], images.flatten()])[3:].view_as(images),
    "every second row": lambda images: images.repeat_interleave(2, 0)[::2],
    "turned and back": lambda images: images.flip(3).flip(3),
    "one by one": lambda images: images,
}


@pytest.mark.parametrize("side", [8, 7, 1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_pixels_count(layout: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = drawn(20, side=side)
    expected = hashes_of(images)
    assert len(expected.unique()) == 20
    laid = LAYOUTS[layout](images)
    assert torch.equal(laid, images)
    assert torch.equal(hashes_of(laid), expected)
    assert torch.equal(torch.cat([hashes_of(part) for part in laid.split(7)]), expected)
    monkeypatch.setattr(hashes, "CACHED_WORDS", 60)
    assert torch.equal(hashes_of(laid), expected)


def test_a_grey_image_is_the_same_as_rgb() -> None:
    grey = drawn(5)[:, :1]
    assert torch.equal(hashes_of(grey.expand(-1, 3, -1, -1)), hashes_of(grey.repeat(1, 3, 1, 1)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("side", [7, 8, 256])
def test_devices_hash_and_count_alike(side: int) -> None:
    images, statistic = drawn(20, side=side), Distinct(k=8)
    found = hashes_of(images.cuda())
    assert torch.equal(found.cpu(), hashes_of(images))
    state = statistic.update(statistic.empty("cuda"), Features(hashes=found.repeat(2)))
    check_equal({key: tensor.cpu() for key, tensor in state.items()}, truth(statistic, found.cpu().repeat(2)))


def test_the_shape_counts() -> None:
    assert len({int(hashes_of(torch.zeros(1, *shape)).item()) for shape in ((3, 8, 8), (3, 4, 16), (8, 8, 3))}) == 3


def test_files_of_another_day_hash_alike() -> None:
    """The values are part of the format of states and references."""
    ramp = (torch.arange(2 * 3 * 5 * 5) % 251).to(torch.uint8).view(2, 3, 5, 5)
    assert hashes_of(ramp).tolist() == [-5331566561821768113, -8868989083353417608]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_of_features_are_hashed_too(dtype: torch.dtype) -> None:
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    found = hashes_of(rows)
    assert len(found.unique()) == 9
    assert torch.equal(hashes_of(rows.repeat(2, 1)), found.repeat(2))
    assert hashes_of(rows[:0]).shape == (0,)


# --- the sketch -------------------------------------------------------------------------------------------------------


def sketch(statistic: Distinct, keys: Tensor, cuts: list[int] | None = None) -> State:
    state, edges = statistic.empty(), [0, *(cuts or []), len(keys)]
    for start, stop in pairwise(edges):
        state = statistic.update(state, Features(hashes=keys[start:stop]))
    return state


def truth(statistic: Distinct, keys: Tensor) -> State:
    unique, counts = keys.unique(return_counts=True)
    state = statistic.empty()
    kept = min(statistic.k, len(unique))
    state["keys"][:kept], state["counts"][:kept] = unique[:kept], counts[:kept]
    return state | {"total": torch.tensor(len(keys))}


def check_equal(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key


@given(
    seed=st.integers(0, 2**31 - 1),
    cuts=st.lists(st.integers(0, 60), max_size=5).map(sorted),
    values=st.sampled_from([1, 4, 30, 2**62]),
    k=st.sampled_from([3, 8, 64]),
)
def test_the_sketch_is_the_truth_whatever_the_parts(seed: int, cuts: list[int], values: int, k: int) -> None:
    statistic, generator = Distinct(k), torch.Generator().manual_seed(seed)
    keys = torch.randint(-values, values, (60,), generator=generator)
    keys[seed % 60] = torch.iinfo(torch.int64).max  # the key of a free slot is a hash as good as any
    expected = truth(statistic, keys)
    check_equal(sketch(statistic, keys, cuts), expected)
    edges = [0, *cuts, 60]
    parts = [sketch(statistic, keys[start:stop]) for start, stop in pairwise(edges)]
    check_equal(statistic.merge(parts), expected)
    check_equal(statistic.merge([statistic.merge(parts[:2]), *parts[2:]]), expected)
    statistic.check(expected)


def reduced(group: Any, keys: Tensor) -> State:
    statistic = Distinct(k=8)
    return statistic.all_reduce(sketch(statistic, keys), Comm(group))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_merge_to_the_truth_bit_by_bit(ranks: Ranks, world_size: int) -> None:
    keys = torch.randint(-20, 20, (60,), generator=torch.Generator().manual_seed(0))
    parts = [keys[rank::world_size] for rank in range(world_size)]
    for state in ranks.run(world_size, reduced, each=parts):
        check_equal(state, truth(Distinct(k=8), keys))


DISTINCT_ONES = 20_000
STREAMS: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "each once": lambda keys, _: keys,
    "each twice": lambda keys, _: keys.repeat(2),
    "drawn with replacement": lambda keys, rng: keys[torch.from_numpy(rng.integers(len(keys), size=len(keys)))],
    "one in twenty ten times": lambda keys, _: torch.cat([keys, keys[: len(keys) // 20].repeat(9)]),
    "a heavy tail": lambda keys, rng: keys[torch.from_numpy(np.minimum(rng.zipf(2.2, 100_000), 10**9) % len(keys))],
    "one as often as all others": lambda keys, _: torch.cat([keys, keys[:1].repeat(len(keys) - 2)]),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_is_within_its_error(stream: str, seed: int) -> None:
    statistic = Distinct(k=256)
    ids = hashed(torch.arange(DISTINCT_ONES) + (seed << 40))
    keys = STREAMS[stream](ids, np.random.default_rng(seed))
    found, distinct = statistic.read(sketch(statistic, keys)), len(keys.unique())
    assert found.num_samples == len(keys)
    assert abs(found.distinct - distinct) <= max(1, 3.5 * found.error * distinct)
    assert found.error <= 0.0628
    assert found.is_exact == (distinct < 256)


def test_it_is_exact_up_to_k_and_says_so() -> None:
    statistic = Distinct(k=8)
    for distinct, is_exact in ((7, True), (8, True), (9, False)):
        found = statistic.read(sketch(statistic, hashed(torch.arange(distinct)).repeat(3)))
        assert (found.distinct, found.is_exact, found.num_samples) == (distinct, is_exact, 3 * distinct)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {"keys": s["keys"].flip(0)},
        lambda s: {"keys": torch.zeros_like(s["keys"])},
        lambda s: {"counts": -s["counts"]},
        lambda s: {"counts": s["counts"].flip(0)},
        lambda s: {"total": s["total"] - 1},
        lambda s: {"keys": s["keys"].int()},
    ],
)
def test_states_that_cannot_be_are_refused(change: Callable[[State], State]) -> None:
    statistic = Distinct(k=8)
    state = sketch(statistic, torch.tensor([3, 1, 2, 3]))
    statistic.check(state)
    with pytest.raises(ValueError, match=r"State distinct_8.*expected"):
        statistic.check(state | change(state))


# --- what is said -----------------------------------------------------------------------------------------------------


def test_images_that_came_twice_are_told() -> None:
    metric = on_pixels()
    metric.update(drawn(150), real=True)
    metric.update(drawn(150), real=True)
    metric.update(drawn(40, seed=1), real=False)
    (said,) = said_by(metric.compute)
    assert said.startswith("300 real images, 150 of them distinct; every one came twice. ")
    assert "Remedy: " in said
    assert "random_split(…, generator=) of one seed" in said
    assert metric.distinct("real") == (300, 150, True, 0.0, 2, 2)
    assert metric.distinct("fake") == (40, 40, True, 0.0, 1, 1)


def test_a_generator_that_repeats_itself_is_told() -> None:
    metric = on_pixels()
    metric.update(drawn(40), real=True)
    for _ in range(5):
        metric.update(drawn(8, seed=1), real=False)
    (said,) = said_by(metric.compute)
    assert said.startswith("40 generated images, 8 of them distinct; every one came 5 times. ")
    assert "seed by rank" in said


def test_floats_and_bytes_of_equal_pixels_are_equal_images() -> None:
    metric = on_pixels(value_range=(0, 1))
    metric.update(drawn(40), real=True)
    metric.update(drawn(40).double() / 255, real=True)
    assert metric.distinct("real") == (80, 40, True, 0.0, 2, 2)


@pytest.mark.parametrize(
    ("n", "repeats", "said"),
    [
        (200, 0, None),
        (200, 2, None),
        (200, 4, "204 real samples, 200 of them distinct; some came twice."),
        (11, 1, "12 real samples, 11 of them distinct; some came twice."),
        (6000, 3, None),
        (6000, 50, None),
        (6000, 1500, r"7500 real samples, about \d+ \(± 0\.\d%\) of them distinct; some came twice\."),
        (6000, 6000, r"12000 real samples, about 6000 of them distinct; every one came twice\."),
    ],
)
def test_a_handful_of_repeats_is_not_worth_a_word(n: int, repeats: int, said: str | None) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n, 2, generator=generator)
    metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
    metric.update(torch.cat([rows, rows[:repeats]]), real=True)
    metric.update(torch.randn(9, 2, generator=generator), real=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RepeatsWarning)
        if said is None:
            metric.compute()
        else:
            with pytest.raises(RepeatsWarning, match=said):
                metric.compute()


def test_a_few_that_came_very_often_are_told_though_the_sketch_missed_them() -> None:
    statistic, ids = Distinct(), hashed(torch.arange(20_000))
    often = ids.max().repeat(8_000)  # the last key that a sketch of the smallest would hold
    metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
    rows = torch.randn(28_000, 2, generator=torch.Generator().manual_seed(0))
    metric.update(Features(rows, hashes=torch.cat([ids, often])), real=False)
    metric.update(rows[:50], real=True)
    assert statistic.read(metric._states.local("fake", 0).states[statistic]).most == 1
    (said,) = said_by(metric.compute)
    assert re.match(r"28000 generated samples, about \d+ \(± 1\.6%\) of them distinct; a few came very often\.", said)


def test_one_image_very_often_is_no_error_of_an_estimate() -> None:
    """A thousandth of the stream is black: below the threshold, however much the counts then vary."""
    metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
    rows = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        metric.reset()
        metric.update(torch.cat([rows + seed, rows[:1].repeat(100, 1) + seed]), real=True)
        metric.update(rows[:50], real=False)
        assert said_by(metric.compute) == []


def test_hashes_can_be_given() -> None:
    rows = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    metric = GenerativeMetrics([FID()], extractor=None, num_features=2)
    metric.update(Features(rows, hashes=torch.arange(40) % 10), real=True)
    assert metric.distinct("real") == (40, 10, True, 0.0, 4, 4)
    with pytest.raises(TypeError, match=r"real batch \(update 1\): expected int64 hashes"):
        metric.update(Features(rows, hashes=rows[:, 0]), real=True)
    with pytest.raises(ValueError, match="one row a sample"):
        metric.update(Features(rows, hashes=torch.arange(39)), real=True)


def test_samples_of_which_nothing_is_given_leave_it_unknown() -> None:
    metric = GenerativeMetrics([IS(splits=1)], extractor=None, num_classes=3)
    metric.update(Features(index=torch.arange(5)), real=True)
    metric.update(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), real=False)
    assert metric.num_samples("real") == 5
    assert metric.distinct("real") is None
    assert said_by(metric.compute) == []


def by_ranks(group: Any, dealt: bool) -> tuple[list[str], float]:
    metric, comm = on_pixels(process_group=group), Comm(group)
    part = slice(comm.rank, None, comm.world_size) if dealt else slice(None)
    metric.update(drawn(150)[part], real=True)
    metric.update(drawn(60, seed=1)[comm.rank :: comm.world_size], real=False)
    return said_by(metric.compute), metric.distinct("real").distinct  # pyright: ignore


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_that_read_the_whole_are_told_and_ranks_that_are_dealt_are_not(ranks: Ranks, world_size: int) -> None:
    for said, distinct in ranks.run(world_size, by_ranks, True):
        assert (said, distinct) == ([], 150)
    for said, distinct in ranks.run(world_size, by_ranks, False):
        assert distinct == 150
        times = {2: "twice", 3: "3 times"}.get(world_size)
        start = f"{150 * world_size} real images, 150 of them distinct; every one came {times}. "
        assert [text[: len(start)] for text in said] == ([start] if times else [])


class Flat(nn.Flatten):
    num_features = WIDTH

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).float()


def test_the_drop_ins_tell_too() -> None:
    score = InceptionScore(Flat(), splits=2)
    distance = FrechetInceptionDistance(Flat(), normalize=True)
    for turn in range(2):
        score.update(drawn(30))
        distance.update(drawn(30) / 255, real=True)
        distance.update(drawn(30, seed=turn) / 255, real=False)
    (said,) = said_by(score.compute)
    assert said.startswith("60 generated images, 30 of them distinct; every one came twice.")
    (said,) = said_by(distance.compute)
    assert said.startswith("60 real images, 30 of them distinct; every one came twice.")


class Corner(nn.Module):
    """Sees the first pixels alone."""

    num_features = 2

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :2].float()


def test_it_is_images_that_are_counted_and_not_what_a_network_sees_of_them() -> None:
    alike = drawn(20)
    alike[:, 0, 0, :2] = alike[0, 0, 0, :2]
    for metric in (GenerativeMetrics([FID()], Corner()), FrechetInceptionDistance(Corner())):
        metric.update(alike, real=True)
        assert metric.distinct("real") == (20, 20, True, 0.0, 1, 1)


# --- the life of a metric ---------------------------------------------------------------------------------------------


def filled(*seeds: int) -> GenerativeMetrics:
    metric = on_pixels()
    for seed in seeds:
        metric.update(drawn(20, seed), real=True)
        metric.update(drawn(20, seed + 100), real=False)
    return metric


def pickled(metric: GenerativeMetrics) -> GenerativeMetrics:
    return pickle.loads(pickle.dumps(metric))


def loaded(metric: GenerativeMetrics) -> GenerativeMetrics:
    metric.persistent(True)
    fresh = on_pixels()
    fresh.load_state_dict(metric.state_dict())
    return fresh


def merged(metric: GenerativeMetrics) -> GenerativeMetrics:
    fresh = on_pixels()
    fresh.merge_state(metric)
    return fresh


def forwarded(metric: GenerativeMetrics) -> GenerativeMetrics:
    fresh = on_pixels()
    for seed in (1, 2, 1):
        fresh(drawn(20, seed), real=True)
        assert said_by(lambda seed=seed: fresh(drawn(20, seed + 100), real=False)) == []
    return fresh


@pytest.mark.parametrize("copied", [pickled, loaded, merged, forwarded], ids=lambda f: f.__name__)
def test_copies_know_it(copied: Callable[[GenerativeMetrics], GenerativeMetrics]) -> None:
    metric = copied(filled(1, 2, 1))
    assert metric.distinct("real") == metric.distinct("fake") == (60, 40, True, 0.0, 1, 2)
    assert [said.partition(";")[0] for said in said_by(metric.compute)] == [
        "60 real images, 40 of them distinct",
        "60 generated images, 40 of them distinct",
    ]
    metric.reset()
    assert metric.distinct("real") == (0, 0, True, 0.0, 0, 0)


def test_a_frozen_side_and_a_reference_keep_it(tmp_path: Path) -> None:
    frozen = filled(1, 1)
    frozen.freeze_real()
    frozen.save_reference(tmp_path / "real.safetensors")
    read = on_pixels(reference=tmp_path / "real.safetensors")
    for metric in (frozen, read):
        metric.reset()
        metric.update(drawn(20, 7), real=False)
        (said,) = said_by(metric.compute)
        assert said.startswith("40 real images, 20 of them distinct")
    other = on_pixels()
    other.update(drawn(20, 8), real=True)
    other.merge_reference(tmp_path / "real.safetensors")
    assert other.distinct("fake") == (40, 20, True, 0.0, 2, 2)


def synced(group: Any, images: Tensor) -> tuple[Any, Any, Any]:
    metric = on_pixels(process_group=group)
    metric.update(images, real=True)
    metric.update(images, real=False)
    metric.sync(distributed_available=lambda: True)
    together = metric.distinct("real")
    metric.unsync()
    return together, metric.distinct("real"), said_by(metric.compute)


def test_sync_and_unsync(ranks: Ranks) -> None:
    for together, alone, said in ranks.run(2, synced, each=[drawn(20), drawn(10)]):
        assert together == (30, 20, True, 0.0, 1, 2)
        assert alone.num_samples == alone.distinct
        assert len(said) == 2


# --- what was saved before there were hashes --------------------------------------------------------------------------

OLD = Path(__file__).parents[1] / "data"
OLD_FID = 2.401363929180093


def four_wide(**options: Any) -> GenerativeMetrics:
    return GenerativeMetrics([FID()], extractor=None, num_features=4, **options)


def from_state() -> GenerativeMetrics:
    metric = four_wide()
    merge_states(metric, [OLD / "before_hashes_state.safetensors"])
    return metric


def from_state_dict() -> GenerativeMetrics:
    metric = four_wide()
    metric.load_state_dict(torch.load(OLD / "before_hashes_state_dict.pt", weights_only=True))
    return metric


def from_reference() -> GenerativeMetrics:
    metric = four_wide(reference=OLD / "before_hashes_reference.safetensors")
    incoming = from_state()
    for name in incoming.metric_state:
        if "fake" in name:
            setattr(metric, name, getattr(incoming, name))
    return metric


@pytest.mark.parametrize("make", [from_state, from_state_dict, from_reference], ids=lambda f: f.__name__)
def test_old_files_know_nothing_of_repeats_and_count_as_before(make: Callable[[], GenerativeMetrics]) -> None:
    metric = make()
    assert metric.num_samples("real") == metric.num_samples("fake") == 12
    assert metric.distinct("real") is metric.distinct("fake") is None
    assert said_by(lambda: assert_value(metric)) == []
    rows = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).repeat(4, 1)
    metric.update(rows, real=False)
    assert metric.num_samples("fake") == 24
    assert said_by(metric.compute) == []
    assert metric.distinct("fake") is None
    fresh = four_wide()
    if not metric.is_frozen:
        fresh.merge_state(metric)
        metric.merge_state(fresh)
        assert said_by(fresh.compute) == []
    metric.reset()
    metric.update(rows, real=False)
    assert metric.distinct("fake") == (12, 3, True, 0.0, 4, 4)
    pickled(metric)


def test_a_pickle_of_an_earlier_version_is_refused_with_the_remedy() -> None:
    earlier = four_wide().__getstate__()
    del earlier["_layout"]
    with pytest.raises(ValueError, match=r"earlier version\. Remedy: state_dict\(\)"):
        GenerativeMetrics.__new__(GenerativeMetrics).__setstate__(earlier)


def assert_value(metric: GenerativeMetrics) -> None:
    assert metric.compute()["fd_features"].item() == pytest.approx(OLD_FID, rel=1e-6)


@pytest.mark.parametrize("key", ["keys", "counts", "total"])
def test_half_a_sketch_is_no_old_file(key: str) -> None:
    metric, whole = on_pixels(), filled(1)
    incoming = {name: state for name, state in whole.metric_state.items() if f"fake_distinct_4096_{key}" not in name}
    with pytest.raises(ValueError, match=f"State fake_distinct_4096_{key}_.*: expected a tensor, got none"):
        metric.merge_state(incoming)
    with pytest.raises(RuntimeError, match=f"State fake_distinct_4096_{key}_.*: expected a tensor, got none"):
        metric.load_state_dict(incoming)
    assert metric.num_samples("real") == 0


def test_equal_frozen_sides_merge_though_one_is_of_an_old_file() -> None:
    old, new = four_wide(reference=OLD / "before_hashes_reference.safetensors"), four_wide()
    new.load_state_dict(old.state_dict())
    for name in new.metric_state:
        if "real_distinct" in name and name.endswith(old._layout.digest) and "total" in name:
            getattr(new, name).add_(12)
    new.merge_state(old)
    old.merge_state(new)
    assert old.num_samples("real") == new.num_samples("real") == 12
    assert old.distinct("real") is None


def test_moments_of_another_program_know_nothing_of_repeats(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.warns(UserWarning, match="taken on trust"):
        metric = four_wide(reference=tmp_path / "other.npz")
    signature = metric.signature()
    metric.update(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), real=False)
    assert said_by(metric.compute) == []
    assert metric.distinct("real") is None
    moments = Reference.load(tmp_path / "other.npz").states["moments_4"]["moments"]
    assert f"real:{digest_of_moments(moments)}|" in signature
    assert "distinct_4096" not in Reference.load(tmp_path / "other.npz").states


# --- at the doors -----------------------------------------------------------------------------------------------------


def test_the_command_line_says_it_and_the_json_holds_it(tmp_path: Path) -> None:
    for name, seeds in (("real", (0, 1, 0, 1)), ("fake", (2, 3, 4, 5))):
        (tmp_path / name).mkdir()
        for part, seed in enumerate(seeds):
            for number, image in enumerate(drawn(5, seed)):
                pixels = image.permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(tmp_path / name / f"{part}-{number}.png")
    chosen = ["--extractor", "test_cli:patches", "--workers", "0", "--measures", "fid"]
    places = [str(tmp_path / name) for name in ("real", "fake", "scores.json")]
    result = CliRunner().invoke(app, ["compare", *places[:2], *chosen, "--json", places[2]])
    assert result.exit_code == 0, result.output
    (said,) = (text for text in json.loads((tmp_path / "scores.json").read_text())["warnings"] if "distinct" in text)
    assert said.startswith("20 real images, 10 of them distinct; every one came twice.")
    assert "20 real images, 10 of them distinct" in " ".join(result.output.split())


class Stream(IterableDataset):
    """Yields all images to whoever asks, rank or worker."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(drawn(150))


class Model(LightningModule):
    def sample(self, n: int) -> Tensor:
        return torch.rand(n, 3, SIDE, SIDE, device=self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        return None


def validated(loader: Any, **options: Any) -> GenerationMonitor:
    keys = {"image_key": options.pop("image_key")} if "image_key" in options else {}
    watching = GenerationMonitor([FID()], nn.Flatten(), num_samples=8, tag="pixels", num_features=WIDTH, **keys)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(accelerator="cpu", callbacks=[watching], enable_checkpointing=False, **quiet, **options)
    trainer.validate(Model(), loader, verbose=False)
    return watching


def test_workers_that_each_read_the_whole_stream_are_told() -> None:
    loader = DataLoader(Stream(), batch_size=50, num_workers=2)
    (said,) = said_by(lambda: validated(loader))
    assert said.startswith("300 real images, 150 of them distinct; every one came twice.")
    assert "DealtStream" in said


def test_a_loader_that_is_cycled_is_told() -> None:
    long, short = (DataLoader(TensorDataset(drawn(n, seed=n)), batch_size=10) for n in (60, 20))
    both = CombinedLoader({"long": long, "short": short}, "max_size_cycle")
    (said,) = said_by(lambda: validated(both, image_key=lambda batch: batch["short"][0]))
    assert said.startswith("60 real images, 20 of them distinct; every one came 3 times.")
    assert "'max_size_cycle'" in said


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenMP's pool does not survive a fork."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_stream_that_every_rank_reads_whole_is_told_in_the_monitor(tmp_path: Path) -> None:
    class Telling(Model):
        def on_validation_end(self) -> None:
            (tmp_path / f"{self.global_rank}.json").write_text(json.dumps([str(w.message) for w in caught]))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watching = GenerationMonitor([FID()], nn.Flatten(), num_samples=8, tag="pixels", num_features=WIDTH)
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        trainer = Trainer(
            accelerator="cpu", devices=2, strategy="ddp_fork", callbacks=[watching], enable_checkpointing=False, **quiet
        )
        trainer.validate(Telling(), DataLoader(Stream(), batch_size=50), verbose=False)
    for rank in range(2):
        texts = json.loads((tmp_path / f"{rank}.json").read_text())
        assert [t for t in texts if t.startswith("300 real images, 150 of them distinct; every one came twice.")]
