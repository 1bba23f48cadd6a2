"""An autoencoder, with PSNR, SSIM and the FID of its reconstructions (rFID) at every epoch, on the digits.

pip install "streaming-metrics[demo]"
python examples/reconstruction.py

`fake_key=` says which of `validation_step`'s outputs is the reconstruction. `paired=` compares each with its own image,
by torchmetrics' metrics; FID compares the two sets.
"""

import argparse
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streaming_metrics import FID
from streaming_metrics.monitor import GenerationMonitor


class Pixels(nn.Module):
    """Features of 8 × 8 images: their pixels. With a real extractor this is one name: extractor="inception-v3"."""

    tag = "pixels"

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].flatten(1).float() / 255


class Autoencoder(LightningModule):
    """Digits through a narrow latent, and back."""

    def __init__(self, latent: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images)).view_as(images)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self(batch) - batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return {"reconstruction": self(batch)}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="train for 2 epochs instead of 20")
epochs = 2 if parser.parse_args().short else 20
# Hints of Lightning's that are of no use to so small a run.
warnings.filterwarnings("ignore", ".*many workers|.*is not empty|.*LeafSpec.*is deprecated")
seed_everything(0, verbose=False)

digits = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
monitor = GenerationMonitor(
    [FID()], Pixels(), fake_key="reconstruction", paired=["psnr", "ssim"], num_features=64, num_samples=len(digits)
)
best = ModelCheckpoint("runs/autoencoder", "best", monitor="val/psnr", mode="max", enable_version_counter=False)
trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[monitor, best], logger=False)
training, validation = DataLoader(digits, batch_size=64, shuffle=True), DataLoader(digits, batch_size=512)
trainer.fit(Autoencoder(), training, validation)

print({key: round(trainer.callback_metrics[key].item(), 4) for key in monitor.keys})
print(f"best val/psnr {best.best_model_score:.4f} in {best.best_model_path}")
print(monitor.metric.signature())
