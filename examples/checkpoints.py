"""A small model of digits, three checkpoints of its training, and the command line that scores them all.

Run: python examples/checkpoints.py [--short]     (writes runs/checkpoints/*.pt, scores.json and report.html)
"""

import argparse
import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from streaming_metrics.cli import app

RUNS = Path("runs/checkpoints")


class Denoiser(nn.Module):
    """Model of 8x8 digits: from a blend of digit and noise, and their ratio, to the digit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(65, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 64))

    def forward(self, blend: Tensor, time: Tensor) -> Tensor:
        """Return digits ``(N, 64)`` in [-1, 1] that blends at times ``(N, 1)`` come from: noise at 0, digits at 1."""
        return self.layers(torch.cat([blend, time], 1))

    def sample(self, n: int, steps: int = 10) -> Tensor:
        """Return n digits ``(n, 1, 8, 8)`` in [-1, 1]: from noise, step by step, to where the model points."""
        blend = torch.randn(n, 64)
        for left in range(steps, 0, -1):
            time = torch.full((n, 1), 1 - left / steps)
            blend = blend.lerp(self(blend, time), 1 / left)
        return blend.clamp(-1, 1).view(n, 1, 8, 8)


def load(path: str) -> Denoiser:
    """Return the model of a checkpoint: what ``--sampler checkpoints:load`` calls for each, and then ``sample(n)``."""
    model = Denoiser()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def digits() -> Tensor:
    """Return the real digits, uint8 ``(1797, 3, 8, 8)``: ``checkpoints:digits`` as a source of images."""
    grey = torch.from_numpy(load_digits().images).mul(255 / 16).round().byte()
    return grey[:, None].expand(-1, 3, -1, -1)


class Pixels(nn.Module):
    """Features that need no download: the 64 grey values. Without --extractor, Inception's give FID itself."""

    num_features = 64

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, 64)`` of images ``(N, 3, 8, 8)``."""
        return images[:, 0].flatten(1) / 255


def train(epochs: tuple[int, ...]) -> None:
    """Write a checkpoint after each of these epochs."""
    model, real = Denoiser(), digits()[:, 0].flatten(1) / 127.5 - 1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(max(epochs)):
        for batch in real[torch.randperm(len(real))].split(64):
            time = torch.rand(len(batch), 1)
            loss = (model(torch.randn_like(batch).lerp(batch, time), time) - batch).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch + 1 in epochs:
            torch.save(model.state_dict(), RUNS / f"epoch={epoch + 1}.pt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="3 epochs and 512 samples, instead of 30 and 1797")
    epochs, num_samples = ((1, 2, 3), 512) if parser.parse_args().short else ((2, 9, 30), 1797)
    torch.manual_seed(0)
    RUNS.mkdir(parents=True, exist_ok=True)
    train(epochs)
    # In a shell, with PYTHONPATH=examples: streaming-metrics compare checkpoints:digits --checkpoints 'runs/…/*.pt' …
    sys.path.insert(0, str(Path(__file__).parent))
    command = ["compare", "checkpoints:digits", "--checkpoints", f"{RUNS}/*.pt", "--sampler", "checkpoints:load"]
    command += ["--sample-range", "-1,1", "--num-generated", f"{num_samples}", "--extractor", "checkpoints:Pixels"]
    command += ["--measures", "fid", "--test", "--workers", "0", "--quiet"]
    sys.exit(app([*command, "--json", f"{RUNS}/scores.json", "--report", f"{RUNS}/report.html"], standalone_mode=False))
