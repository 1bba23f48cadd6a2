"""A GAN in Lightning, measured at every validation; the best checkpoint is the one of lowest Fréchet distance.

Run: python examples/lightning_gan.py [--short]     (writes runs/gan/best.ckpt)
"""

import argparse
import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader

from streaming_metrics import FID, PRDC
from streaming_metrics.monitor import GenerationMonitor

NOISE = 32


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. The default, extractor="inception-v3", gives FID itself."""

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


class DigitGAN(LightningModule):
    """Generator and discriminator of 8x8 digits: the non-saturating loss, and a penalty on D's slope at real digits."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        hidden = [
            nn.Linear(NOISE, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
        ]
        self.generator = nn.Sequential(*hidden, nn.Linear(256, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
        hidden = [nn.Linear(64, 256), nn.LeakyReLU(0.2), nn.Linear(256, 256), nn.LeakyReLU(0.2)]
        self.discriminator = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, 1))

    def sample(self, n: int) -> Tensor:
        """Return n digits in [0, 1]: all that the monitor asks of a model."""
        return self.generator(torch.randn(n, NOISE, device=self.device))

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take one step of the discriminator, then one of the generator."""
        to_generator, to_discriminator = self.optimizers()
        real, fake = batch.requires_grad_(), self.sample(len(batch))
        rated = self.discriminator(real)
        (slope,) = torch.autograd.grad(rated.sum(), real, create_graph=True)
        told_apart = softplus(-rated).mean() + softplus(self.discriminator(fake.detach())).mean()
        self.step(to_discriminator, told_apart + slope.square().flatten(1).sum(1).mean() / 2)
        self.step(to_generator, softplus(-self.discriminator(fake)).mean())

    def step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Do nothing: the monitor takes the real digits from the batch."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        networks = self.generator, self.discriminator
        return [torch.optim.Adam(network.parameters(), lr=5e-4, betas=(0.5, 0.99)) for network in networks]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="train for 2 epochs instead of 40")
epochs = 2 if parser.parse_args().short else 40
# Hints of Lightning's that are of no use to so small a run.
warnings.filterwarnings("ignore", ".*many workers|.*is not empty|.*LeafSpec.*is deprecated")
seed_everything(0, verbose=False)

digits = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
monitor = GenerationMonitor([FID(), PRDC()], Pixels(), num_features=64, num_samples=len(digits))
best = ModelCheckpoint("runs/gan", "best", monitor="val/fd_pixels", mode="min", enable_version_counter=False)
trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[monitor, best], logger=False)
training, validation = DataLoader(digits, batch_size=64, shuffle=True), DataLoader(digits, batch_size=512)
trainer.fit(DigitGAN(), training, validation)

print({key: round(trainer.callback_metrics[key].item(), 4) for key in monitor.keys})
print(f"best val/fd_pixels {best.best_model_score:.4f} in {best.best_model_path}")
print(monitor.metric.signature())
