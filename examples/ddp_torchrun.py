"""A model under DistributedDataParallel, measured on all ranks at once: 1,797 digits are counted as 1,797, not 1,798.

Run: torchrun --nproc-per-node 2 examples/ddp_torchrun.py [--short]
"""

import argparse

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from streaming_metrics import FID, PRDC, GenerativeMetrics, UnpaddedSampler


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. The default, extractor="inception-v3", gives FID itself."""

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="train for 2 epochs instead of 10")
epochs = 2 if parser.parse_args().short else 10
dist.init_process_group("gloo")
torch.manual_seed(0)

digits = list(torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16)
autoencoder = nn.Sequential(
    nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 16), nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 64)
)
model = DistributedDataParallel(nn.Sequential(autoencoder, nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

# Training wants as many batches on each rank, so its sampler repeats a digit; measuring wants each digit once.
to_train = DataLoader(digits, batch_size=64, sampler=DistributedSampler(digits))
to_measure = DataLoader(digits, batch_size=64, sampler=UnpaddedSampler(digits))
metric = GenerativeMetrics([FID(), PRDC()], Pixels(), num_features=64, value_range=(0, 1))

for epoch in range(epochs):
    to_train.sampler.set_epoch(epoch)
    for images in to_train:
        optimizer.zero_grad()
        (model(images) - images).square().mean().backward()
        optimizer.step()

    metric.reset()
    with torch.no_grad():
        for images in to_measure:
            metric.update(images.expand(-1, 3, -1, -1), real=True)  # grey as RGB
            # The network itself, not DDP around it, which may wait: ranks may have a batch more or less than others.
            metric.update(model.module(images).expand(-1, 3, -1, -1), real=False)
    scores = metric.compute()  # every rank calls it, and all get the same bits
    if dist.get_rank() == 0:
        print(f"epoch {epoch}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items()), flush=True)

if dist.get_rank() == 0:
    print(metric.signature())
dist.destroy_process_group()
