"""A loop of one's own in Lightning Fabric: train, then measure on however many processes Fabric started.

Run: python examples/fabric.py [--short] [--devices 2]
"""

import argparse

import torch
from lightning.fabric import Fabric
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streaming_metrics import FID, PRDC, GenerativeMetrics, UnpaddedSampler


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. The default, extractor="inception-v3", gives FID itself."""

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="train for 2 epochs instead of 10")
parser.add_argument("--devices", type=int, default=1, help="processes")
options = parser.parse_args()
fabric = Fabric(accelerator="cpu", devices=options.devices, strategy="ddp" if options.devices > 1 else "auto")
fabric.launch()
fabric.seed_everything(0, verbose=False)

digits = list(torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16)
autoencoder = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 16), nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 64)
)
network = nn.Sequential(autoencoder, nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
model, optimizer = fabric.setup(network, torch.optim.Adam(network.parameters(), lr=2e-3))

# Fabric deals the first loader's digits to the ranks, and repeats one to make them even; it leaves the second as it is.
to_train = fabric.setup_dataloaders(DataLoader(digits, batch_size=64, shuffle=True))
to_measure = fabric.setup_dataloaders(DataLoader(digits, batch_size=64, sampler=UnpaddedSampler(digits)))
metric = GenerativeMetrics([FID(), PRDC()], Pixels(), num_features=64, value_range=(0, 1))

for epoch in range(2 if options.short else 10):
    for images in to_train:
        optimizer.zero_grad()
        fabric.backward((model(images) - images).square().mean())
        optimizer.step()

    metric.reset()
    with torch.no_grad():
        for images in to_measure:
            metric.update(images.expand(-1, 3, -1, -1), real=True)  # grey as RGB
            # The network itself, not DDP around it, which may wait: ranks may have a batch more or less than others.
            metric.update(network(images).expand(-1, 3, -1, -1), real=False)
    scores = metric.compute()  # every rank calls it, and all get the same bits
    fabric.print(f"epoch {epoch}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))

fabric.print(metric.signature())
