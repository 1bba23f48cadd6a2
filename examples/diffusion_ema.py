"""A diffusion model, its raw weights and their moving average measured side by side by one monitor.

Run: python examples/diffusion_ema.py [--short]     (writes runs/diffusion/report.html, both curves on the same axes)
"""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streaming_metrics import FID, PRDC
from streaming_metrics.monitor import GenerationMonitor


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. The default, extractor="inception-v3", gives FID itself."""

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


class DigitDiffusion(LightningModule):
    """Denoiser of 8x8 digits: from a blend of digit and noise, and their ratio, to the digit."""

    def __init__(self) -> None:
        super().__init__()
        hidden = [nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU()]
        self.denoiser = nn.Sequential(nn.Linear(65, 512), nn.SiLU(), *hidden, nn.Linear(512, 64))

    def denoise(self, blend: Tensor, time: Tensor) -> Tensor:
        """Return the digits, in [-1, 1], that blends at times in [0, 1] come from: noise at 0, digits at 1."""
        return self.denoiser(torch.cat([blend.flatten(1), time.flatten(1)], 1)).view_as(blend)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the squared error of the denoised digits."""
        time = torch.rand(len(batch), 1, 1, 1)
        return (self.denoise(torch.randn_like(batch).lerp(batch, time), time) - batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Do nothing: the monitors take the real digits from the batch."""

    def sample(self, n: int, steps: int = 25) -> Tensor:
        """Return n digits in [-1, 1]: from noise, step by step, to where the denoiser points."""
        blend = torch.randn(n, 1, 8, 8)
        for left in range(steps, 0, -1):
            time = torch.full((n, 1, 1, 1), 1 - left / steps)
            blend = blend.lerp(self.denoise(blend, time), 1 / left)
        return blend.clamp(-1, 1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class EMA(EMAWeightAveraging):
    """Lightning's moving average of the weights, which it swaps in for the whole of validation."""

    @contextmanager
    def raw(self, module: LightningModule) -> Iterator[None]:
        """Swap the weights in training back in, for what is inside."""
        is_swapped = self._average_model is not None
        if is_swapped:
            self._swap_models(module)
        try:
            yield
        finally:
            if is_swapped:
                self._swap_models(module)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="2 epochs of 512 samples, instead of 20 of 1797")
epochs, num_samples = (2, 512) if parser.parse_args().short else (20, 1797)
# Hints of Lightning's that are of no use to so small a run.
warnings.filterwarnings("ignore", ".*many workers|.*is not empty|.*LeafSpec.*is deprecated")
seed_everything(0, verbose=False)

digits = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 8 - 1
training, validation = DataLoader(digits, batch_size=32, shuffle=True), DataLoader(digits, batch_size=512)
ema = EMA(decay=0.98)
shared = {
    "num_samples": num_samples,
    "value_range": (-1, 1),
    "num_features": 64,
    "report": "runs/diffusion/report.html",
}


def raw(module: LightningModule, n: int) -> Tensor:
    """Return n digits of the weights in training; ``sample`` draws with those that are swapped in."""
    with ema.raw(module):
        return module.sample(n)


samplers = {"ema": "sample", "raw": raw}  # both against the real digits, which are read once
monitor = GenerationMonitor([FID(), PRDC()], Pixels(), samplers, prefix="", **shared)
callbacks = [ema, monitor]
trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=callbacks, logger=False, enable_checkpointing=False)
trainer.fit(DigitDiffusion(), training, validation)

for variant in monitor.variants:
    print({f"{variant.name}/{key}": round(value.item(), 4) for key, value in variant.measured.values.items()})
    print(variant.measured.signature)
