"""The recipes of docs/ranks.md, run: however a loop of one's own is dealt its images, 11 of them count as 11."""

# ruff: noqa: ARG002 (hooks have fixed arguments)

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler

from streaming_metrics import (
    FID,
    DealtStream,
    GenerativeMetrics,
    RepeatsWarning,
    UnpaddedSampler,
    keep_unpadded,
)
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Ranks

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
]

SIDE, WIDTH = 8, 3 * 8 * 8
REAL, FAKE = (
    torch.randint(0, 256, (n, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
    for n in (11, 20)
)


def on_pixels(**options: Any) -> GenerativeMetrics:
    return GenerativeMetrics([FID()], nn.Flatten(), tag="pixels", num_features=WIDTH, **options)


def scored(metric: GenerativeMetrics, rank: int, world_size: int) -> tuple[str, float, list[str]]:
    """Return the counts, the score over all ranks, and what was said of repeats."""
    metric.update(FAKE[rank::world_size], real=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = metric.compute()["fd_pixels"].item()
    said = [str(warning.message) for warning in caught if issubclass(warning.category, RepeatsWarning)]
    counts = "|".join(metric.signature().split("|")[3:5])
    return counts, value, said


def alone() -> float:
    metric = on_pixels()
    metric.update(REAL, real=True)
    return scored(metric, 0, 1)[1]


def counted_as_eleven(answers: list[tuple[str, float, list[str]]]) -> None:
    for counts, value, said in answers:
        assert counts == "real:11|fake:20"
        assert value == pytest.approx(alone(), rel=1e-6)
        assert said == []


# --- plain PyTorch ----------------------------------------------------------------------------------------------------


def plain(_: Any, batch_size: int) -> tuple[str, float, list[str]]:
    comm, metric = Comm(), on_pixels()
    for images in DataLoader(list(REAL), batch_size, sampler=UnpaddedSampler(REAL)):
        metric.update(images, real=True)
    return scored(metric, comm.rank, comm.world_size)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_plain_pytorch(ranks: Ranks, batch_size: int) -> None:
    counted_as_eleven(ranks.run(4, plain, batch_size))


def padded(group: Any, drops: bool) -> tuple[str, float, list[str]]:
    """With the DistributedSampler that a loop already has."""
    comm, metric = Comm(group), on_pixels(process_group=group)
    sampler = DistributedSampler(REAL, comm.world_size, comm.rank)  # pyright: ignore[reportArgumentType]
    seen = 0
    for images in DataLoader(list(REAL), 2, sampler=sampler):
        keep = keep_unpadded(sampler, seen, len(images)) if drops else torch.ones(len(images), dtype=torch.bool)
        seen += len(images)
        if keep.any():
            metric.update(images[keep], real=True)
    return scored(metric, comm.rank, comm.world_size)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_distributed_sampler_that_is_there_already(ranks: Ranks, world_size: int) -> None:
    counted_as_eleven(ranks.run(world_size, padded, True))
    for counts, _, said in ranks.run(world_size, padded, False):
        assert counts == f"real:{11 if world_size == 1 else 12}|fake:20"
        assert [text.partition(" The")[0] for text in said] == (
            [] if world_size == 1 else ["12 real images, 11 of them distinct; some came twice."]
        )


def streamed(group: Any, workers: int) -> tuple[str, float, list[str]]:
    comm, metric = Comm(group), on_pixels(process_group=group)
    stream = DealtStream(REAL, comm.world_size, comm.rank)
    for images in DataLoader(stream, 2, num_workers=workers):
        metric.update(images, real=True)
    return scored(metric, comm.rank, comm.world_size)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_stream(ranks: Ranks, world_size: int) -> None:
    counted_as_eleven(ranks.run(world_size, streamed, 0))


def test_a_stream_read_by_workers() -> None:
    parts = [
        image
        for rank in range(2)
        for batch in DataLoader(DealtStream(REAL, 2, rank), 2, num_workers=2)
        for image in batch
    ]
    assert len(parts) == 11
    assert len(torch.stack(parts).unique(dim=0)) == 11


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_sample_is_dealt_once(world_size: int, shuffle: bool) -> None:
    samplers = [UnpaddedSampler(REAL, world_size, rank, shuffle=shuffle, seed=3) for rank in range(world_size)]
    epochs = []
    for epoch in range(2):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        epochs.append([list(sampler) for sampler in samplers])
        assert [len(part) for part in epochs[-1]] == [len(sampler) for sampler in samplers]
        assert sorted(position for part in epochs[-1] for position in part) == list(range(11))
    assert (epochs[0] != epochs[1]) == shuffle


# --- Fabric -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenMP's pool does not survive a fork."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def in_fabric(fabric: Any, folder: str, unpadded: bool) -> None:
    metric = on_pixels()
    loader = DataLoader(list(REAL), 2, sampler=UnpaddedSampler(REAL) if unpadded else None)  # pyright: ignore
    for images in fabric.setup_dataloaders(loader):
        metric.update(images, real=True)
    torch.save(scored(metric, fabric.global_rank, fabric.world_size), f"{folder}/{fabric.global_rank}.pt")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("unpadded", [True, False])
def test_fabric(tmp_path: Path, unpadded: bool) -> None:
    from lightning.fabric import Fabric

    Fabric(accelerator="cpu", devices=2, strategy="ddp_fork").launch(in_fabric, str(tmp_path), unpadded)
    answers = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    if unpadded:
        return counted_as_eleven(answers)
    for counts, _, said in answers:
        assert counts == "real:12|fake:20"
        assert "12 real images, 11 of them distinct" in said[0]
    return None


# --- accelerate -------------------------------------------------------------------------------------------------------


def in_accelerate(_: Any, even_batches: bool, gather: bool) -> tuple[str, float, list[str]]:
    from accelerate import Accelerator
    from accelerate.utils import DataLoaderConfiguration

    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(even_batches=even_batches))
    metric = on_pixels()
    for images in accelerator.prepare(DataLoader(list(REAL), 2)):  # pyright: ignore[reportArgumentType]
        metric.update(accelerator.gather_for_metrics(images) if gather else images, real=True)
    return scored(metric, accelerator.process_index, accelerator.num_processes)


def test_accelerate(ranks: Ranks) -> None:
    counted_as_eleven(ranks.run(4, in_accelerate, False, False))


@pytest.mark.parametrize(
    ("gather", "said"),
    [
        (False, "16 real images, 11 of them distinct; some came twice."),
        (True, "44 real images, 11 of them distinct; every one came 4 times."),
    ],
)
def test_accelerates_defaults_are_told(ranks: Ranks, gather: bool, said: str) -> None:
    for _, _, texts in ranks.run(4, in_accelerate, True, gather):
        assert [text.partition(" The")[0] for text in texts] == [said]


# --- Lightning --------------------------------------------------------------------------------------------------------


class Model(LightningModule):
    def sample(self, n: int) -> Tensor:
        return torch.rand(n, 3, SIDE, SIDE, device=self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        return None


LOADERS: dict[str, Callable[[], Any]] = {
    "a sampler": lambda: DataLoader(list(REAL), 2, sampler=UnpaddedSampler(REAL, *in_ranks())),  # pyright: ignore
    "a stream": lambda: DataLoader(DealtStream(REAL, *in_ranks()), 2),
}


def in_ranks() -> tuple[int, int]:
    comm = Comm()
    return comm.world_size, comm.rank


class Data(Model):
    """Makes its loader where the ranks are."""

    def __init__(self, kind: str, monitor: GenerationMonitor) -> None:
        super().__init__()
        self.kind, self.monitor = kind, monitor

    def val_dataloader(self) -> Any:
        return LOADERS[self.kind]()

    def on_validation_end(self) -> None:
        assert "real:11|fake:20" in self.monitor.metric.signature()
        assert self.monitor.metric.distinct("real") == (11, 11, True, 0.0, 1, 1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", LOADERS)
def test_the_monitor_takes_them_too(kind: str) -> None:
    watching = GenerationMonitor([FID()], nn.Flatten(), num_samples=20, tag="pixels", num_features=WIDTH)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", callbacks=[watching], enable_checkpointing=False, **quiet
    )
    trainer.validate(Data(kind, watching), verbose=False)
