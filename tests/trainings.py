"""Small trainings for tests of the monitor: models, loaders, a monitor, and its values without Lightning."""

# ruff: noqa: ARG001, ARG002 (hooks and samplers have fixed arguments)

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics, Signature
from streaming_metrics.images.batches import find_images
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator


QUIET = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
    pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
]
"""What Lightning says of any training as small as these."""
TINY = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
"""Images so few and so small that some are drawn twice."""

MEASURES = [FID(), KID(subsets=3, subset_size=6), PRDC(k=2)]
REAL = torch.randint(0, 256, (23, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Pixels(nn.Module):
    """Means of halves of the image: 6 features."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), (2, 1)).flatten(1) / 255


class Noisy(Pixels):
    """An extractor that draws."""

    num_features = 6

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1e-3 * torch.rand(len(images), 6)


class Model(LightningModule):
    """Draws brightened noise; its training uses every source of randomness."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 3 * 8 * 8), nn.Dropout(0.2))

    def sample(self, n: int) -> Tensor:
        return self.layer(torch.randn(n, 4, device=self.device)).sigmoid().view(n, 3, 8, 8)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        drawn = self.sample(len(batch[0])) + 0.1 * np.random.rand() + 0.1 * random.random()
        return (drawn - batch[0] / 255).square().mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        return {"reconstruction": find_images(batch).flip(-1), "loss": torch.rand(())}

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def gan_steps(model: LightningModule, batch: list[Tensor], batch_idx: int) -> None:
    for optimizer in model.optimizers():
        optimizer.zero_grad()
        model.manual_backward((model.sample(4) - 1).square().mean())
        optimizer.step()


def loader(images: Tensor = REAL, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(images), batch_size=options.pop("batch_size", 4), **options)


def monitor(measures: Any = MEASURES, **options: Any) -> GenerationMonitor:
    common = {"extractor": Pixels(), "num_samples": 20, "batch_size": 8}
    return GenerationMonitor(measures, **{**common, **options})


def trainer(*callbacks: Callback, **options: Any) -> Trainer:
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    checkpoints = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    quiet["enable_checkpointing"] = checkpoints
    common = {"accelerator": "cpu", "max_epochs": 2, "num_sanity_val_steps": 0, "log_every_n_steps": 1}
    return Trainer(callbacks=[*callbacks], **{**quiet, **common, **options})


def fit(*callbacks: Callback, model: LightningModule | None = None, real: Any = None, **options: Any) -> Trainer:
    fitted = trainer(*callbacks, **options)
    fitted.fit(model or Model(), loader(shuffle=True), loader() if real is None else real)
    return fitted


def validate(watching: GenerationMonitor, *others: Callback, real: Any = None, **options: Any) -> dict[str, float]:
    seed_everything(0, verbose=False)
    return dict(
        trainer(watching, *others, **options).validate(Model(), loader() if real is None else real, verbose=False)[0]
    )


def expected(fake: Tensor, real: Tensor = REAL, measures: Any = MEASURES, prefix: str = "val/") -> dict[str, float]:
    """Return the values without Lightning."""
    metric = GenerativeMetrics(measures, Pixels())
    metric.update(real, real=True, index=torch.arange(len(real)))
    metric.update(fake, real=False, index=torch.arange(len(fake)))
    return {prefix + key: value.item() for key, value in metric.compute().items()}


def kept_features(metric: GenerativeMetrics) -> int:
    """Return the rows of generated features that a metric keeps."""
    return sum(len(rows) for name, rows in vars(metric).items() if name.startswith("fake_bank") and "_rows_" in name)


class Counts(Callback):
    """Logs how many samples the monitor before it has counted."""

    def __init__(self, watching: GenerationMonitor) -> None:
        self.watching = watching

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        signature = Signature.parse(self.watching.metric.signature())
        pl_module.log_dict({"real": float(signature.real), "fake": float(signature.fake)}, sync_dist=True)


class Stream(IterableDataset):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.images)
