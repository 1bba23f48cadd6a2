"""Networks whose features of many images are made once, and looked up from then on by the number of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from streaming_metrics import Features, Spec
from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.wavelet_packets import SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BATCH = 250


class Stored(Extractor):
    """Looks features up: its images are tickets, each the number of a row.

    Args:
        name: of the network that it stands for, also its tag.
        spec: widths of the columns.
        columns: rows by column.
    """

    def __init__(self, name: str, spec: Spec, columns: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.name, self.tag, self.spec = name, name.replace("-", "_"), spec
        self.weights_id, self.resize = "stored", "none"
        self.columns = dict(columns or {})

    def see(self, images: Tensor, network: Extractor) -> None:
        """Add what a network says of images, which get the next numbers."""
        for batch in whole_blocks(images).split(BATCH) if "packets" in network.spec.widths else images.split(BATCH):
            found = network(batch.contiguous()).columns()
            self.columns = {name: torch.cat([self.columns.get(name, rows[:0]), rows]) for name, rows in found.items()}

    def extract(self, images: Tensor) -> Features:
        places = (images.flatten(1).long() * torch.tensor([1, 1 << 8, 1 << 16])).sum(1)
        return Features(**{name: rows[places] for name, rows in self.columns.items()})


def whole_blocks(images: Tensor) -> Tensor:
    """Return images with a black border below and right, where their sides are no multiples of a packet's block."""
    height, width = images.shape[-2:]
    return pad(images, (0, -width % SIDE, 0, -height % SIDE))


def tickets(places: Tensor) -> Tensor:
    """Return the images ``(N, 3, 1, 1)`` uint8 that stand for images by number.

    Example:
        >>> tickets(torch.tensor([258]))[0, :, 0, 0].tolist()
        [2, 1, 0]
    """
    digits = [places >> shift & 255 for shift in (0, 8, 16)]
    return torch.stack(digits, 1).to(torch.uint8)[..., None, None]


class Store:
    """Images by number, seen by several networks at once.

    Attributes:
        stored: what stands for each network, by its name.
        count: images so far.
    """

    def __init__(self, networks: Sequence[Extractor]) -> None:
        self.networks = list(networks)
        self.stored = {network.name: Stored(network.name, network.spec) for network in networks}
        self.count = 0

    def add(self, images: Tensor) -> Tensor:
        """Let the networks see images; return their numbers ``(N,)``."""
        for network in self.networks:
            self.stored[network.name].see(images, network)
        self.count += len(images)
        return torch.arange(self.count - len(images), self.count)

    @property
    def columns(self) -> set[str]:
        """The names of what there is of each image."""
        return {column for stored in self.stored.values() for column in stored.columns}
