"""What the monitor counts where an item is not one image: clips, ready batches, dropped items, own samplers."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from lightning.pytorch.utilities import CombinedLoader
from test_report_monitor import page_of
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    Sampler,
    SequentialSampler,
    TensorDataset,
)
from trainings import QUIET, TINY, Counts, Model, monitor, trainer, validate
from trainings import REAL as TENSOR

from streaming_metrics import FID, KID, PRDC
from streaming_metrics.monitor.counting import Count, Dealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [*QUIET, TINY]

REAL: Any = TENSOR
CLIPS: Any = torch.randint(0, 256, (10, 4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
MEASURES = [FID(), KID(subsets=3, subset_size=6), PRDC(k=2)]
BROKEN = {1, 6}


class Lenient(Model):
    """Its validation step takes whatever is left of a batch."""

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return None if batch is None else {"frames": frames_of(batch).flip(-1) if isinstance(batch, list) else None}


def frames_of(batch: list[Tensor]) -> Tensor:
    return batch[0].flatten(0, 1) if batch[0].ndim == 5 else batch[0]


def dropping(items: list[tuple[int, Tensor]]) -> Any:
    kept = [image for number, image in items if number not in BROKEN]
    return torch.stack(kept) if kept else None


def halved(items: list[tuple[int, Tensor]]) -> Any:
    """Drop all of the first half: None for one batch, an empty tensor for the other."""
    first = items[0][0]
    return None if first == 0 else torch.stack([image for number, image in items])[: 0 if first < 4 else None]


def numbered(n: int) -> Any:
    return list(enumerate(REAL[:n]))


class Oversampling(DistributedSampler):
    """Deals every image twice, as repeated augmentation does: positions beyond the dataset are no padding."""

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__(data, **options)
        self.num_samples = 2 * len(data) // self.num_replicas
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)  # pyright: ignore[reportArgumentType]
        return iter([place % n for place in range(self.rank, self.total_size, self.num_replicas)])


class LikeTimms(Sampler):
    """Pads as ``DistributedSampler`` does, and is none."""

    def __init__(self, data: Any, num_replicas: int, rank: int) -> None:
        self.dataset, self.num_replicas, self.rank = data, num_replicas, rank
        self.num_samples = -(-len(data) // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        every = [*range(len(self.dataset))] * 2
        return iter(every[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples


class Buckets(BatchSampler):
    """Batches in an order of their own."""

    def __iter__(self) -> Iterator[list[int]]:
        yield from reversed(list(super().__iter__()))


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        return iter(CLIPS[rank::world])


Make: TypeAlias = "Callable[[int, int], DataLoader[Any]]"


def with_sampler(data: Any, kind: Any = DistributedSampler, **options: Any) -> Make:
    def make(rank: int, world_size: int) -> DataLoader[Any]:
        common = {} if kind is LikeTimms else {"shuffle": False}
        return DataLoader(data, sampler=kind(data, num_replicas=world_size, rank=rank, **common), **options)

    return make


def in_batches(kind: Any, data: Any, size: int) -> Make:
    def make(rank: int, world_size: int) -> DataLoader[Any]:
        sampler = DistributedSampler(data, world_size, rank, shuffle=False)
        return DataLoader(data, batch_sampler=kind(sampler, size, drop_last=False))

    return make


# Without Lightning: every dealer on one to four ranks.

EVERYTHING: dict[str, tuple[Make, Callable[[Any], Tensor], Tensor, set[int]]] = {
    "one image an item": (with_sampler(REAL, batch_size=4), lambda b: b, REAL, {1, 2, 3, 4}),
    "clips": (with_sampler(CLIPS, batch_size=3), lambda b: b.flatten(0, 1), CLIPS.flatten(0, 1), {1, 2, 3, 4}),
    "one clip a batch": (with_sampler(CLIPS, batch_size=1), lambda b: b[0], CLIPS.flatten(0, 1), {1, 2, 3, 4}),
    "ready batches": (with_sampler(list(REAL.split(8)), batch_size=None), lambda b: b, REAL, {1, 2, 3, 4}),
    "clips of any length, one a batch": (
        with_sampler([REAL[:5], REAL[5:13], REAL[13:16], REAL[16:17], REAL[17:]], batch_size=1),
        lambda b: b[0],
        REAL,
        {1, 2, 3, 4},
    ),
    "dropped items": (with_sampler(numbered(12), batch_size=2, collate_fn=dropping), lambda b: b, REAL[:12], {1, 2, 3}),
    "dropped, not beside padding": (
        with_sampler(numbered(23), batch_size=2, collate_fn=dropping),
        lambda b: b,
        REAL,
        {1, 2, 3, 4},
    ),
    "dropped, one an item": (
        with_sampler(numbered(7), batch_size=1, collate_fn=dropping),
        lambda b: b,
        REAL[:7],
        {1, 2, 3, 4},
    ),
    "oversampled": (with_sampler(REAL[:12], Oversampling, batch_size=4), lambda b: b, REAL[:12], {1, 2, 3, 4}),
    "as timm pads": (with_sampler(REAL, LikeTimms, batch_size=4), lambda b: b, REAL, {1, 2, 3, 4}),
    "a batch sampler": (in_batches(BatchSampler, REAL, 4), lambda b: b, REAL, {1, 2, 3, 4}),
    "buckets without padding": (in_batches(Buckets, REAL[:12], 2), lambda b: b, REAL[:12], {1, 2, 3, 4}),
}


@pytest.mark.parametrize("kind", EVERYTHING)
def test_every_image_counts_once_under_an_id_of_its_own_on_any_number_of_ranks(kind: str) -> None:
    make, images_of, every, worlds = EVERYTHING[kind]
    broken = {REAL[i].numpy().tobytes() for i in BROKEN} if "dropped" in kind else set()
    times = 2 if kind == "oversampled" else 1
    want = sorted(times * [key for image in every if (key := image.numpy().tobytes()) not in broken])
    for world_size in worlds:
        ids, kept = [], []
        for rank in range(world_size):
            loader = make(rank, world_size)
            count = Count(Dealing.of(loader, rank, world_size))
            for batch in loader:
                images = REAL[:0] if batch is None else images_of(batch)
                index, keep = count.place(len(images))
                kept += [image.numpy().tobytes() for image in images[keep]]
                ids += index[keep].tolist()
        assert sorted(kept) == want, world_size
        assert len(set(ids)) == len(ids)
        assert max(ids) < 1 << 40


@pytest.mark.parametrize(
    ("make", "n"),
    [
        (in_batches(Buckets, REAL[:11], 2), None),
        (with_sampler(numbered(11), batch_size=3, collate_fn=dropping), 2),
        (with_sampler(CLIPS[:7], batch_size=4), 7),
    ],
)
def test_padding_that_cannot_be_told_from_images_is_refused_with_the_remedy(make: Any, n: int | None) -> None:
    def place() -> None:
        count = Count(Dealing.of(make(1, 2), 1, 2))
        for _ in range(2):
            count.place(n or 0)

    with pytest.raises(ValueError, match=r"padding|repeats some images.*Remedy: a sampler that does not pad"):
        place()
    assert Count(Dealing.of(make(0, 1))).place(5)[1].all()


def test_several_loaders_at_once_are_counted_as_they_come() -> None:
    plain = CombinedLoader([DataLoader(REAL), DataLoader(REAL)], "min_size")
    assert Count(Dealing.of(plain, 1, 2)).place(2)[0].tolist() == [1, 3]
    padded = CombinedLoader([with_sampler(REAL[:11])(1, 2), DataLoader(REAL)], "max_size_cycle")
    with pytest.raises(ValueError, match="CombinedLoader"):
        Dealing.of(padded, 1, 2)


def test_batches_that_overtake_each_other_have_no_positions() -> None:
    late = DataLoader(REAL, batch_size=4, num_workers=2)
    late.in_order = False
    assert Dealing.of(late).per_batch is None


# In the monitor.


class Data(LightningDataModule):
    def __init__(self, make: Make) -> None:
        super().__init__()
        self.make = make

    def val_dataloader(self) -> DataLoader[Any]:
        return self.make(*((dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)))


def scores(make: Make, world_size: int = 1, model: type[LightningModule] = Lenient, **options: Any) -> dict[str, float]:
    several = {"devices": world_size, "strategy": "ddp_fork"} if world_size > 1 else {}
    watching = monitor(options.pop("measures", MEASURES), **options)
    seed_everything(0, verbose=False)
    running = trainer(watching, Counts(watching), **several)
    return dict(running.validate(model(), datamodule=Data(make), verbose=False)[0])


def plain(data: Any, **options: Any) -> Make:
    return lambda rank, world_size: DataLoader(data, **options)


MONITORED: dict[str, tuple[Make, dict[str, Any], int]] = {
    "ready batches of any size": (plain([REAL[:5], REAL[5:13], REAL[13:]], batch_size=None), {}, 23),
    "clips": (plain(TensorDataset(CLIPS), batch_size=4), {"image_key": frames_of}, 40),
    "ready batches": (plain(list(REAL.split(8)), batch_size=None), {}, 23),
    "oversampled": (with_sampler(REAL[:12], Oversampling, batch_size=4), {"measures": [FID()]}, 24),
}


@pytest.mark.parametrize("kind", MONITORED)
@pytest.mark.usefixtures("forks")
def test_the_monitor_counts_the_same_images_on_one_two_and_three_ranks(kind: str) -> None:
    make, options, n = MONITORED[kind]
    alone = scores(make, **options)
    assert alone["real"] == n
    for world_size in (2, 3):
        assert scores(make, world_size, **options) == pytest.approx(alone, rel=1e-5)


@pytest.mark.usefixtures("forks")
def test_dropped_items_and_batches_add_nothing() -> None:
    make = plain(numbered(12), batch_size=2, collate_fn=dropping)
    alone = scores(make)
    assert alone["real"] == 10
    assert scores(make, 2)["real"] == 10
    assert scores(plain(numbered(14), batch_size=2, collate_fn=halved), measures=[FID()])["real"] == 10


@pytest.mark.usefixtures("forks")
def test_fakes_of_the_step_are_frames_too() -> None:
    make = plain(TensorDataset(CLIPS), batch_size=4)
    options = {"fake_key": "frames", "image_key": frames_of, "num_samples": 40}
    alone = scores(make, **options)
    assert (alone["real"], alone["fake"]) == (40, 40)
    assert scores(make, 2, **options) == pytest.approx(alone, rel=1e-5)


@pytest.mark.usefixtures("forks")
def test_conditions_are_asked_for_images_up_to_their_number() -> None:
    def sample(model: LightningModule, n: int, batch: list[Tensor]) -> Tensor:
        return 255 - frames_of(batch)

    make = plain(TensorDataset(CLIPS), batch_size=1)
    for world_size in (1, 2):
        got = scores(make, world_size, sample=sample, image_key=frames_of, num_samples=10)
        assert (got["real"], got["fake"]) == (40, 10)


def real_loader(kind: str) -> DataLoader[Any]:
    if kind == "clips":
        return DataLoader(CLIPS, batch_size=4)
    return Dealt(REAL[:11]) if kind == "dealt" else DataLoader(numbered(12), batch_size=2, collate_fn=dropping)


@pytest.mark.parametrize(
    ("kind", "world_size", "n"),
    [("clips", 1, 40), ("clips", 2, 40), ("dropped", 1, 10), ("dropped", 2, 10), ("dealt", 2, 11)],
)
@pytest.mark.usefixtures("forks")
def test_a_loader_of_real_images_may_hold_any_items(kind: str, world_size: int, n: int) -> None:
    def frames(batch: Tensor) -> Tensor:
        return batch.flatten(0, 1) if batch.ndim == 5 else batch

    got = scores(plain(REAL[:12], batch_size=4), world_size, real=real_loader(kind), image_key=frames)
    assert got["real"] == n


class Dealt(DataLoader):  # pyright: ignore[reportMissingTypeArgument]
    """Deals to two ranks by itself."""

    def __init__(self, data: Any) -> None:
        super().__init__(data, sampler=DistributedSampler(data, 2, 0, shuffle=False), batch_size=2)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name == "sampler" and dist.is_initialized():
            value.rank = dist.get_rank()
        return value


def test_fewer_generated_images_than_asked_for_are_said() -> None:
    with pytest.warns(UserWarning, match="num_samples=99, and the validation batches gave 40 generated images"):
        scores(plain(TensorDataset(CLIPS)), fake_key="frames", image_key=frames_of, num_samples=99)


def test_no_picture_is_looked_up_where_ids_are_no_positions(tmp_path: Path) -> None:
    cases = [
        (DataLoader(TensorDataset(CLIPS), batch_size=4), {"image_key": frames_of}),
        (DataLoader(numbered(12), batch_size=2, collate_fn=dropping), {}),
        (DataLoader(REAL, batch_sampler=Buckets(SequentialSampler(REAL), 4, drop_last=False)), {}),
        (DataLoader(REAL, sampler=list(range(23))[::-1], batch_size=4), {}),
    ]
    for number, (loader, options) in enumerate(cases):
        folder = tmp_path / str(number)
        seed_everything(0, verbose=False)
        running = trainer(monitor([FID(), PRDC(k=2)], report=True, **options), default_root_dir=folder)
        running.validate(Lenient(), loader, verbose=False)
        assert "The real images are left out" in page_of(folder, "report-validate.html").said, number


@pytest.mark.usefixtures("forks")
def test_nor_where_another_rank_dropped_an_item(tmp_path: Path) -> None:
    def without_one(items: list[tuple[int, Tensor]]) -> Tensor:
        return torch.stack([image for number, image in items if number != 1])  # the second of rank 1

    seed_everything(0, verbose=False)
    several = {"devices": 2, "strategy": "ddp_fork", "default_root_dir": tmp_path}
    running = trainer(monitor([FID(), PRDC(k=2)], report=True), **several)
    running.validate(Lenient(), DataLoader(numbered(12), batch_size=2, collate_fn=without_one), verbose=False)
    assert "The real images are left out" in page_of(tmp_path, "report-validate.html").said


@pytest.mark.usefixtures("forks")
def test_ranks_that_disagree_on_what_an_item_holds_are_refused() -> None:
    def without_one(items: list[Tensor]) -> Tensor:
        kept = [clip for clip in items if not torch.equal(clip, CLIPS[3])]  # rank 1's batch: 12 images, padding's too
        return torch.cat(kept)

    with pytest.raises(Exception, match=r"Ranks found 3 and 4 images an item.*Remedy: one image an item"):
        scores(plain(CLIPS[:7], batch_size=4, collate_fn=without_one), 2, measures=[FID()])


def test_a_picture_is_looked_up_where_they_are(tmp_path: Path) -> None:
    validate(monitor([FID(), PRDC(k=2)], report=True), default_root_dir=tmp_path)
    assert "The real images are left out" not in page_of(tmp_path, "report-validate.html").said
