"""A loop of one's own in Hugging Face accelerate: no even batches and no gather, each process gives its own digits.

Run: python examples/accelerate_loop.py [--short]
 or: torchrun --nproc-per-node 2 examples/accelerate_loop.py [--short]
"""

import argparse

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from streaming_metrics import FID, PRDC, GenerativeMetrics


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. The default, extractor="inception-v3", gives FID itself."""

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="train for 2 epochs instead of 10")
epochs = 2 if parser.parse_args().short else 10
set_seed(0)

digits = list(torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16)
autoencoder = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 16), nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 64)
)
network = nn.Sequential(autoencoder, nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))

# With even batches, accelerate's default, digits are repeated until all processes have as many: a RepeatsWarning.
accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(even_batches=False))
model, optimizer, to_train, to_measure = accelerator.prepare(
    network,
    torch.optim.Adam(network.parameters(), lr=2e-3),
    DataLoader(digits, batch_size=64, shuffle=True, drop_last=True),
    DataLoader(digits, batch_size=64),
)
metric = GenerativeMetrics([FID(), PRDC()], Pixels(), num_features=64, value_range=(0, 1))

for epoch in range(epochs):
    for images in to_train:
        optimizer.zero_grad()
        accelerator.backward((model(images) - images).square().mean())
        optimizer.step()

    metric.reset()
    with torch.no_grad():
        for images in to_measure:
            metric.update(images.expand(-1, 3, -1, -1), real=True)  # grey as RGB
            # The network itself, not DDP around it, which may wait: processes may have a batch more than others.
            metric.update(network(images).expand(-1, 3, -1, -1), real=False)
    scores = metric.compute()  # every process calls it, and all get the same bits
    accelerator.print(f"epoch {epoch}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()))

accelerator.print(metric.signature())
accelerator.end_training()
