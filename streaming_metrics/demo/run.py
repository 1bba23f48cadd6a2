"""Demo of a small generator that learns to draw digits: python -m streaming_metrics.demo, or make demo.

Trains a flow on scikit-learn's 1,797 real 8x8 digits with Lightning, measures as many generated ones every epoch, and
writes a table, curves, sample grids, a report and the best checkpoint. To use the library on a model of your own, see
DigitFlow below for what a model needs (the method sample) and watch() for all that there is to write.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

from streaming_metrics import FID, IS, KID, PRDC
from streaming_metrics.cli.plan import Plan
from streaming_metrics.demo import output, study
from streaming_metrics.extractors import EfficientNetLite0
from streaming_metrics.measures.catalogue import all_measures
from streaming_metrics.measures.registry import as_measures
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics import Measure

PASSES = 21
"""Passes over the digits in what is called an epoch here: 148 steps."""


def watch(options: argparse.Namespace, digits: Tensor) -> GenerationMonitor:
    """Return the callback that generates, measures and logs every epoch."""
    is_small = options.extractor == "efficientnet-lite0"
    network = EfficientNetLite0(side=options.side) if is_small else options.extractor
    measures = chosen(options.measures, len(digits), options.samples)
    if options.decide:  # unbiased, so that 1,797 digits do for 1,280 features, and of all pairs: an error is known
        measures = [KID(subsets=None) if isinstance(measure, KID) else measure for measure in measures]
    return GenerationMonitor(
        measures,
        network,
        sample="sample",
        num_samples=options.samples,
        train=DataLoader(TensorDataset(digits), batch_size=256) if options.measures == "all" else None,
        report=options.out / "report.html",
        keep_samples=options.out / "study" / "samples" if options.study else None,
        keep=study.IMAGES,
        decide="kid" if options.decide else None,
    )


def chosen(text: str, num_real: int, num_samples: int) -> list[Measure]:
    """Return the measures that ``--measures`` names; of all, say which are left out, and why.

    Labels and captions are for models of them, and this flow draws digits of no particular kind.
    """
    core = [FID(), KID(subset_size=min(1000, num_samples)), IS(), PRDC()]
    if text != "all":
        return core if text == "core" else as_measures(text)
    found, left_out = all_measures(roles=("real", "fake", "train"))
    by_label = {measure.label: measure for measure in core}
    measures = [by_label.get(measure.label, measure) for measure in found]
    plan = Plan.of(measures, real=num_real, fake=num_samples, train=num_real)
    for label, why in [*left_out, *plan.unscored.items()]:
        print(f"left out: {label}: {why}")
    return plan.scored


class DigitFlow(LightningModule):
    """Flow matching: on straight lines from noise to digits, a network learns where a point is heading."""

    def __init__(self, width: int = 256, depth: int = 4, learning_rate: float = 2e-3) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.network = Denoiser(width, depth)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.995)).requires_grad_(False)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the squared error of the velocity; its weight is bounded where the digit is all but reached."""
        digits = batch[0].float() / 127.5 - 1
        noise, time = torch.randn_like(digits), torch.rand(len(digits), 1, 1, 1, device=self.device)
        error = self.network(noise.lerp(digits, time), time) - digits
        loss = (error / (1 - time).clamp(min=0.4)).square().mean()
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Follow the weights with their moving average, which draws better digits."""
        self.average.update_parameters(self.network)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Do nothing: the monitor takes the real digits from the batch."""

    def sample(self, n: int, steps: int = 40) -> Tensor:
        """Return n digits ``(n, 1, 8, 8)`` in [0, 1]: go from noise to where the network says that points head."""
        return self.flow(torch.randn(n, 1, 8, 8, device=self.device), steps)

    def interpolate(self, ways: int, steps: int) -> Tensor:
        """Return digits ``(ways, steps, 1, 8, 8)`` of noise on the way from one draw to another, as loud as either."""
        start, end = torch.randn(2, ways, 1, 1, 8, 8, device=self.device)
        angle = torch.linspace(0, torch.pi / 2, steps, device=self.device).view(1, steps, 1, 1, 1)
        return self.flow((start * angle.cos() + end * angle.sin()).flatten(0, 1)).unflatten(0, (ways, steps))

    def flow(self, points: Tensor, steps: int = 40) -> Tensor:
        """Return the digits in [0, 1] that noise ``(n, 1, 8, 8)`` flows to."""
        for left in range(steps, 0, -1):
            time = torch.full((len(points), 1, 1, 1), 1 - left / steps, device=self.device)
            points = points.lerp(self.average(points, time), 1 / left)
        return (points.clamp(-1, 1) + 1) / 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)


class Denoiser(nn.Module):
    """Network from points ``(N, 1, 8, 8)`` at times ``(N, 1, 1, 1)`` in [0, 1] to the digits that they head for."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.logspace(0, 2, 32))
        self.enter = nn.Linear(128, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(depth)
        )
        self.leave = nn.Linear(width, 64)

    def forward(self, points: Tensor, time: Tensor) -> Tensor:
        """Return digits of the points' shape."""
        angles = time.flatten(1) * self.frequencies
        hidden = self.enter(torch.cat([points.flatten(1), angles.sin(), angles.cos()], 1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(hidden).view_as(points)


class History(Callback):
    """History of a training: keeps each epoch's values and first samples, and prints a line as they come.

    Attributes:
        rows: each epoch's values, by key without prefix and tag.
        frames: each epoch's ``(16, 3, 8, 8)`` uint8, always from the same noise.
    """

    def __init__(self, monitor: GenerationMonitor) -> None:
        self.monitor = monitor
        self.rows: list[dict[str, float]] = []
        self.frames: list[Tensor] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Note what the monitor logged."""
        if trainer.sanity_checking:
            return
        tag = f"_{getattr(self.monitor.metric.extractor, 'tag', '')}"
        keys = [key for key in self.monitor.keys if not key.endswith(("_verdict", "_samples"))]
        logged = {key: trainer.callback_metrics[key].item() for key in keys}
        self.rows.append({key.removeprefix("val/").replace(tag, ""): value for key, value in logged.items()})
        self.frames.append(self.monitor.samples)
        trainer.print(output.line(len(self.rows), self.rows[-1]))


def load_digits() -> Tensor:
    """Return scikit-learn's digits, ``(1797, 1, 8, 8)`` uint8."""
    from sklearn.datasets import load_digits

    sixteenths, _ = load_digits(return_X_y=True)
    return torch.from_numpy(sixteenths * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)


def train(options: argparse.Namespace, monitor: GenerationMonitor, digits: Tensor) -> tuple[History, bool]:
    """Train under the monitor, write to ``options.out``; return what was noted, and whether this is the first rank."""
    dataset = TensorDataset(digits)
    history = History(monitor)
    followed = monitor.keys[-1 if options.decide else 0]
    best = ModelCheckpoint(options.out, "best", monitor=followed, enable_version_counter=False)
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
    batches = DataLoader(ConcatDataset([dataset] * PASSES), batch_size=256 // options.devices, shuffle=True)
    trainer.fit(DigitFlow(), batches, DataLoader(dataset, batch_size=256))
    return history, trainer.is_global_zero


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, watch, and show what came of it."""
    options = parser().parse_args(arguments)
    quieten()
    # So small a network gains nothing from threads, and on a busy machine they wait for one another.
    torch.set_num_threads(1)
    seed_everything(options.seed, verbose=False)
    started, digits = time.perf_counter(), load_digits()
    if options.devices == 1:
        forget_curves(options.out)
    if options.study:
        study.forget(options.out / "study")
    monitor = watch(options, digits)
    history, is_first_rank = train(options, monitor, digits)
    if is_first_rank:
        (options.out / "signature.txt").write_text(monitor.metric.signature() + "\n")
        output.overview(history.rows, history.frames[-1], monitor.metric.signature(), options.out / "curves.png")
        output.strips(history.frames, history.rows, digits, options.out / "samples.png")
        output.show(history.rows, options.out, time.perf_counter() - started)
        if options.study:
            folder = options.out / "study"
            study.run(folder, folder / "samples", digits, options.out / "metrics.csv", options.seed)


def forget_curves(folder: Path) -> None:
    """Remove an earlier run's TensorBoard events, which would be drawn into this run's curves."""
    for events in folder.glob("events.out.tfevents.*"):
        events.unlink()


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser("streaming_metrics.demo", description=__doc__, formatter_class=_Formatter)
    command.add_argument("--epochs", type=int, default=12, help="how long to train; each epoch is measured")
    command.add_argument("--devices", type=int, default=1, help="processes to train and measure in")
    command.add_argument("--samples", type=int, default=1797, help="digits to generate each epoch")
    command.add_argument("--measures", default="core", help="fid,kid,is,prdc are the core; all; or a list of names")
    command.add_argument("--extractor", default="efficientnet-lite0", help="inception-v3, torchvision/<model>, …")
    command.add_argument("--side", type=int, default=64, help="pixels that efficientnet-lite0 sees; 224 is its own")
    command.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for all that is written")
    command.add_argument("--decide", action="store_true", help="stop generating once an epoch is told from the best")
    command.add_argument("--study", action="store_true", help="let simulated raters judge the epochs, over HTTP")
    command.add_argument("--seed", type=int, default=0, help="of weights, noise and order")
    return command


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


def quieten() -> None:
    """Leave out what Lightning says of hardware, workers and folders that are not empty."""
    for logger in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    for message in (".*does not have many workers", ".*exists and is not empty", ".*LeafSpec.*is deprecated"):
        warnings.filterwarnings("ignore", message)
