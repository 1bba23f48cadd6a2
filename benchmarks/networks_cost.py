"""What does a monitor with three networks cost over the networks alone?

    python benchmarks/networks_cost.py --samples 512 --repeats 2 --page docs/speed.md

A Lightning ``Trainer`` validates with one ``GenerationMonitor``: FID, KID and PRDC of Inception, FID and KID of DINOv2
ViT-S/14, CMMD of CLIP ViT-B/32, of images that are generated once, the real side frozen, as from the second validation
on. Beside it each network alone, on the same images in the same batches, one after another; the validation without the
monitor, and the generator alone, are taken off. Seconds are the processor's, the least of the turns, which alternate.
Weights are random: what is timed does not depend on them.

Networks see few images, of which the scores, some of which take as long for any number, weigh more than of the 10,000
that a monitor measures. So all but the networks is timed with 10,000 too, behind networks that cost nothing and yield
features as wide; beside what the three take for so many, that is the ratio which counts.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import open_clip
import torch
from harness.common import machine, table
from harness.inputs import draw_images, reference_weights, write_dinov2
from harness.page import markdown, write_part
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from streaming_metrics import CMMD, FID, KID, PRDC
from streaming_metrics.extractors import ModuleExtractor, resolve
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming_metrics.extractors import Extractor

REACH = 1.05
NETWORKS = {"inception": "inception-v3", "dino": "dinov2-vits14", "clip": "clip-vit-b32"}
SUBSET = 100
HEAD = ("what", "s", "over the networks alone")
FREE_SIDE = 8
"""Pixels of images that networks which cost nothing see."""


def measures() -> list[Any]:
    """Return what is watched: each network's own."""
    kid = {"subset_size": SUBSET}
    return [FID(), KID(**kid), PRDC(), FID(on="dino"), KID(**kid, on="dino"), CMMD(on="clip")]


class Free(nn.Module):
    """A network that costs nothing beside the three: a linear map of the pixels.

    Args:
        width: of its features.
        name: decides the map.
    """

    def __init__(self, width: int, name: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(len(name))
        self.register_buffer("map", torch.randn(3 * FREE_SIDE**2, width, generator=generator) / FREE_SIDE**2)
        self.num_features = width

    def forward(self, images: Tensor) -> Tensor:
        return images.float().flatten(1) @ self.map


class Generated(LightningModule):
    """A generator of images that are there already; nothing is learnt. It clocks its validations.

    Args:
        images: uint8 ``(N, 3, H, W)``.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images, self.drawn = images, 0
        self.automatic_optimization = False

    def sample(self, n: int) -> Tensor:
        places = torch.arange(self.drawn, self.drawn + n) % len(self.images)
        self.drawn += n
        return self.images[places]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:  # noqa: ARG002
        return None

    validation_step = training_step

    def configure_optimizers(self) -> None:
        return None


class Clock(Callback):
    """Clock of validations, in the processor's seconds; the first takes the real side, and is left out.

    Args:
        turn: is run after each validation.
    """

    def __init__(self, turn: Callable[[], object]) -> None:
        self.turn, self.seconds = turn, list[float]()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self.started = time.process_time()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self.seconds.append(time.process_time() - self.started)
        self.turn()


def validations(extractors: dict[str, Extractor], sides: Sequence[Tensor], batch: int, turn: Clock, n: int) -> None:
    """Validate n times and once before, with a turn of something else after each."""
    real, fake = (DataLoader(TensorDataset(images), batch) for images in sides)
    monitor = GenerationMonitor(measures(), extractors, num_samples=len(sides[1]), batch_size=batch)
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[turn, monitor],
        max_epochs=n + 1,
        limit_train_batches=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Generated(sides[1]), fake, real)


def seconds_of(run: Callable[[], object]) -> float:
    """Return the processor seconds of a run."""
    start = time.process_time()
    run()
    return time.process_time() - start


@contextmanager
def networks() -> Iterator[dict[str, Extractor]]:
    """Yield the three, of random weights that are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder, reference_weights(None) as inception:
        clip = Path(folder) / "clip.pth"
        torch.save(open_clip.create_model("ViT-B-32-quickgelu", load_weights=False).state_dict(), clip)
        files = {"inception": inception, "dino": write_dinov2(Path(folder) / "dino.pth"), "clip": clip}
        yield {name: resolve(NETWORKS[name], weights=file) for name, file in files.items()}


def through(extractor: Extractor, images: Tensor, batch: int) -> None:
    """Run images through a network alone."""
    for part in images.split(batch):
        extractor(part)


def rows_of(
    extractors: dict[str, Extractor], samples: int, side: int, batch: int, repeats: int
) -> tuple[list[list[Any]], float]:
    """Return rows of seconds, and how many times the networks alone a validation takes."""
    sides = [draw_images(samples, side, side, seed=seed) for seed in (1, 2)]
    turns: list[dict[str, float]] = []

    def turn() -> None:
        turns.append({n: seconds_of(lambda one=one: through(one, sides[1], batch)) for n, one in extractors.items()})

    clock = Clock(turn)
    validations(extractors, sides, batch, clock, repeats)
    least = {name: min(seconds[name] for seconds in turns) for name in extractors}
    alone, watched = sum(least.values()), min(clock.seconds[1:])
    rows = [[f"{one.name}, alone, {samples:,} images", least[name], ""] for name, one in extractors.items()]
    return [*rows, ["all three, alone", alone, "1"], ["a validation", watched, f"{watched / alone:.3f}"]], alone


def bench(samples: int, whole: int, side: int, batch: int, repeats: int) -> list[list[Any]]:
    """Return the rows of networks as they are, and what a validation of ``whole`` images costs beside them."""
    with networks() as extractors:
        rows, alone = rows_of(extractors, samples, side, batch, repeats)
        free = {name: Free(one.spec.width("pool") or 0, name) for name, one in extractors.items()}
    stood_in = {name: ModuleExtractor(one, tag=name) for name, one in free.items()}
    (*_, (_, beside, _)), _ = rows_of(stood_in, whole, FREE_SIDE, batch, repeats)
    ratio = 1 + beside / (alone * whole / samples)
    verdict = f"{ratio:.3f} ({'reached' if ratio <= REACH else 'SHORT'}: {REACH} asked)"
    return [*rows, [f"all but the networks, {whole:,} images", beside, ""], [f"so for {whole:,} images", "", verdict]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=192, help="images that the networks see")
    parser.add_argument("--whole", type=int, default=10_000, help="images that the scores see")
    parser.add_argument("--side", type=int, default=64, help="pixels of the images")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--page", type=Path, help="a page of Markdown to write the table into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = bench(options.samples, options.whole, options.side, options.batch, options.repeats)
    about = f"{machine()}, {torch.get_num_threads()} threads, images of {options.side} pixels."
    print(f"{about}\n\n{table(HEAD, rows)}")
    if options.page:
        cells = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        write_part(options.page, "networks", f"{about}\n\n{markdown(HEAD, cells)}")


if __name__ == "__main__":
    main()
