"""Flows of the demo: models that learn to draw images, and what a monitor asks of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from streaming_metrics.demo.denoiser import Denoiser

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flow(LightningModule):
    """Flow matching: on straight lines from noise to images, a network learns where a point is heading.

    Args:
        shape: of images, ``(C, H, W)``.
        classes: of which they are drawn; 0 for images of no particular kind.
        width, depth: of the network.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int = 0,
        width: int = 256,
        depth: int = 4,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__()
        self.shape, self.classes, self.learning_rate = tuple(shape), classes, learning_rate
        self.network = Denoiser(shape, classes, width, depth)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.995)).requires_grad_(False)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the squared error of the velocity; its weight is bounded where the image is all but reached."""
        pixels, *labels = batch
        images = pixels.float() / 127.5 - 1
        noise, time = torch.randn_like(images), torch.rand(len(images), 1, 1, 1, device=self.device)
        error = self.network(noise.lerp(images, time), time, *labels) - images
        loss = (error / (1 - time).clamp(min=0.4)).square().mean()
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Follow the weights with their moving average, which draws better images."""
        self.average.update_parameters(self.network)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        """Do nothing: the monitor takes the real images from the batch."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)

    def noise(self, n: int) -> Tensor:
        """Return n draws of noise, of the images' shape."""
        return torch.randn(n, *self.shape, device=self.device)

    def noise_between(self, ways: int, steps: int) -> Tensor:
        """Return noise ``(ways·steps, C, H, W)`` on the way from one draw to another, as loud as either."""
        start, end = torch.randn(2, ways, 1, *self.shape, device=self.device)
        angle = torch.linspace(0, torch.pi / 2, steps, device=self.device).view(1, steps, 1, 1, 1)
        return (start * angle.cos() + end * angle.sin()).flatten(0, 1)

    def flow(self, points: Tensor, *labels: Tensor, network: nn.Module | None = None, steps: int = 40) -> Tensor:
        """Return the images in [0, 1] that noise flows to.

        Args:
            points: noise, ``(N, C, H, W)``.
            labels: int64 ``(N,)``, where there are classes.
            network: that tells the way; the average by default.
            steps: of the way.
        """
        network = self.average if network is None else network
        for left in range(steps, 0, -1):
            time = torch.full((len(points), 1, 1, 1), 1 - left / steps, device=self.device)
            points = points.lerp(network(points, time, *labels), 1 / left)
        return (points.clamp(-1, 1) + 1) / 2


class DigitFlow(Flow):
    """Flow of 8x8 digits. All that a monitor asks of it is the method ``sample``."""

    def __init__(self) -> None:
        super().__init__((1, 8, 8))

    def sample(self, n: int) -> Tensor:
        """Return n digits ``(n, 1, 8, 8)`` in [0, 1]: go from noise to where the network says that points head."""
        return self.flow(self.noise(n))

    def interpolate(self, ways: int, steps: int) -> Tensor:
        """Return digits ``(ways, steps, 1, 8, 8)``, which the report shows, of noise from one draw to another."""
        return self.flow(self.noise_between(ways, steps)).unflatten(0, (ways, steps))


class LabelledFlow(Flow):
    """Flow of images by class, all classes in turn; with the average of its weights, or with the raw ones.

    Args:
        shape: of images, ``(C, H, W)``.
        classes: their number.
        width, depth, learning_rate: of the network and of Adam.
    """

    STEPS = 20

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: int = 512,
        depth: int = 4,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(shape, classes, width, depth, learning_rate)
        self.save_hyperparameters(logger=False)

    def sample(self, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return n images ``(n, C, H, W)`` in [0, 1] with their labels, drawn with the average of the weights."""
        return self._drawn(n, self.average)

    def raw(self, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return as many, drawn with the weights in training."""
        return self._drawn(n, self.network)

    def interpolate(self, ways: int, steps: int) -> Tensor:
        """Return images ``(ways, steps, C, H, W)``, each way of one class, of noise from one draw to another."""
        labels = self._labels(ways).repeat_interleave(steps)
        return self.flow(self.noise_between(ways, steps), labels, steps=self.STEPS).unflatten(0, (ways, steps))

    def _drawn(self, n: int, network: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        labels = self._labels(n)
        return self.flow(self.noise(n), labels, network=network, steps=self.STEPS), {"labels": labels}

    def _labels(self, n: int) -> Tensor:
        return torch.arange(n, device=self.device) % self.classes
