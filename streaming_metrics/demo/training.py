"""Training of the demo: Lightning's trainer, and the history of what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from streaming_metrics.demo.growing import GrowingTable
from streaming_metrics.demo.recipes import BATCH, RECIPES
from streaming_metrics.demo.watch import loader

if TYPE_CHECKING:
    import argparse

    from torch import Tensor

    from streaming_metrics.demo.flow import Flow
    from streaming_metrics.demo.sets import ImageSet
    from streaming_metrics.monitor import GenerationMonitor


class History(Callback):
    """History of a training: keeps each epoch's values and first samples, and prints a line as they come.

    Attributes:
        rows: each epoch's values by key, without the first network's tag; of each sampler by name.
        frames: each epoch's ``(16, 3, H, W)`` uint8, always from the same noise; of each sampler by name.
    """

    def __init__(self, monitor: GenerationMonitor) -> None:
        self.monitor = monitor
        self.names = [variant.name for variant in monitor.variants]
        self.rows: dict[str, list[dict[str, float]]] = {name: [] for name in self.names}
        self.frames: dict[str, list[Tensor]] = {name: [] for name in self.names}
        self._table = GrowingTable(self.names)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Note what the monitor measured."""
        if trainer.sanity_checking:
            return
        tag = f"_{getattr(self.monitor.metric.extractor, 'tag', '')}"
        for variant in self.monitor.variants:
            assert variant.measured
            told = {key: value for key, value in variant.measured.values.items() if not key.endswith(_BESIDE)}
            row = {key.replace(tag, ""): value.item() for key, value in told.items()}
            self.rows[variant.name].append(row)
            self.frames[variant.name].append(variant.pictures.shown[:16])
            trainer.print(self._table.line(trainer.current_epoch, row, variant.name))


def train(options: argparse.Namespace, monitor: GenerationMonitor, flow: Flow, images: ImageSet) -> History | None:
    """Train under the monitor and write to ``options.out``; return what was noted, None but on the first rank."""
    history = History(monitor)
    best = ModelCheckpoint(options.out, "best", monitor=_followed(monitor), enable_version_counter=False)
    trainer = Trainer(
        accelerator="cpu",
        devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
        max_epochs=options.epochs,
        callbacks=[monitor, history, best],
        logger=[TensorBoardLogger(options.out, "", ""), CSVLogger(options.out, "", "")],
        log_every_n_steps=1,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(flow, _batches(options, images), loader(*images.real))
    except SystemExit as error:  # what Lightning makes of Ctrl-C, without a word at this level of its log
        raise KeyboardInterrupt from error
    return history if trainer.is_global_zero else None


def steps_of(options: argparse.Namespace, images: ImageSet) -> int:
    """Return the steps of an epoch."""
    return len(_batches(options, images))


def _batches(options: argparse.Namespace, images: ImageSet) -> DataLoader[Any]:
    passes = RECIPES[options.set].passes
    dataset = ConcatDataset([TensorDataset(*images.train)] * passes)
    return DataLoader(dataset, batch_size=BATCH // options.devices, shuffle=True)


def _followed(monitor: GenerationMonitor) -> str:
    """Return the key that the best checkpoint goes by: the first sampler's first, or what its verdicts decide."""
    first = monitor.variants[0]
    return first.settings.prefix + first.decider.keys[-1] if first.decider else monitor.keys[0]


_BESIDE = ("_verdict", "_samples")
