"""A Lightning run on two ranks: undisturbed; with one rank killed in mid-validation; resumed from the last checkpoint.

``python killed_run.py FOLDER`` prints what happened as JSON. A script, so that one import serves all ranks.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streaming_metrics import FID, PRDC
from streaming_metrics.monitor import GenerationMonitor

TIMEOUT = 3.0
EPOCHS, FATAL_EPOCH = 3, 1


class Painter(LightningModule):
    """Learns a constant picture; enough for its samples to change from epoch to epoch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.paint = nn.Linear(4, 3 * 8 * 8)

    def sample(self, n: int) -> Tensor:
        return self.paint(torch.randn(n, 4)).sigmoid().view(n, 3, 8, 8)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # noqa: ARG002
        return (self.paint(torch.ones(len(batch), 4)).sigmoid() - batch.flatten(1)).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.05)


class Pixels(nn.Module):
    """Yields the means of four quarters, ``(N, 12)``."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


class History(Callback):
    """History of a training: a line for what every epoch logged."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if trainer.is_global_zero and not trainer.sanity_checking:
            values = {key: value.item() for key, value in trainer.callback_metrics.items()}
            with self.file.open("a") as lines:
                lines.write(json.dumps([trainer.current_epoch, values]) + "\n")


class Killer(Callback):
    """Kills one rank in the middle of a validation epoch, as the kernel does when memory runs out."""

    def __init__(self, victim: int) -> None:
        self.victim = victim

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if (trainer.global_rank, trainer.current_epoch) == (self.victim, FATAL_EPOCH):
            os.kill(os.getpid(), signal.SIGKILL)


def train(rank: int, port: int, folder: Path, name: str, victim: int | None, resume: Path | None) -> None:
    """Run one rank."""
    with (folder / f"{name}-{rank}.log").open("w") as log:
        os.dup2(log.fileno(), 2)
    launched = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in launched.items()}, GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    loaders = [DataLoader(images.unbind(), batch_size=8, shuffle=shuffle) for shuffle in (True, False)]  # pyright: ignore
    options: dict[str, Any] = {"tag": "pixels", "num_features": 12, "timeout": TIMEOUT}
    monitor = GenerationMonitor([FID(), PRDC(k=3)], Pixels(), num_samples=60, batch_size=8, log_images=0, **options)
    checkpoint = ModelCheckpoint(folder / name, save_last=True, monitor="val/fd_pixels")
    killer = [] if victim is None else [Killer(victim)]
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=EPOCHS,
        callbacks=[*killer, monitor, checkpoint, History(folder / f"{name}.jsonl")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Painter(), *loaders, ckpt_path=resume)


def run(folder: Path, name: str, victim: int | None = None, resume: Path | None = None) -> list[int]:
    """Run both ranks and return their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=train, args=(rank, port, folder, name, victim, resume)) for rank in range(2)]
    for process in ranks:
        process.start()
    deadline = time.monotonic() + 40
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode or 0 for process in ranks]


def history_of(folder: Path, name: str) -> dict[int, dict[str, float]]:
    """Return what a run logged by epoch; the last word on an epoch counts."""
    return dict(map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines()))


def main(folder: Path) -> None:
    """Run undisturbed; then, for each victim, killed and resumed."""
    outcome: dict[str, Any] = {"plain": {"codes": run(folder, "plain"), "logged": history_of(folder, "plain")}}
    for victim in range(2):
        killed, resumed = f"killed{victim}", f"resumed{victim}"
        start = time.monotonic()
        outcome[killed] = {"codes": run(folder, killed, victim), "seconds": time.monotonic() - start}
        outcome[killed]["survivor"] = (folder / f"{killed}-{1 - victim}.log").read_text()
        codes = run(folder, resumed, resume=folder / killed / "last.ckpt")
        outcome[resumed] = {"codes": codes, "logged": history_of(folder, resumed)}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
