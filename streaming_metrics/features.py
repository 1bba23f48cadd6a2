"""What flows from an extractor to the statistics: one row of features a sample, and their widths."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Spec:
    """The widths that an extractor yields; a measure sizes its statistics by them.

    Args:
        num_features: columns of ``Features.pool``, or None where there is no pool.
        num_classes: columns of ``Features.logits``, or None where there are no logits.
    """

    num_features: int | None = None
    num_classes: int | None = None


@dataclass(frozen=True)
class Features:
    """What one forward pass of an extractor says of N samples.

    Args:
        pool: ``(N, D)`` floating point, the features that distances and moments are taken of.
        logits: ``(N, C)`` floating point, unnormalised class scores.
        index: ``(N,)`` int64, which samples these are: see :mod:`streaming_metrics.statistics.index`.
        hashes: ``(N,)`` int64, equal where samples repeat: see :mod:`streaming_metrics.statistics.hashes`; made by
            ``update`` of images, or of the rows where there are none.

    Example:
        >>> import torch
        >>> features = Features(pool=torch.zeros(4, 8), logits=torch.zeros(4, 10))
        >>> len(features), len(features[:3])
        (4, 3)
    """

    pool: Tensor | None = None
    logits: Tensor | None = None
    index: Tensor | None = None
    hashes: Tensor | None = None

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors that are present, by name."""
        return {f.name: column for f in fields(self) if (column := getattr(self, f.name)) is not None}

    def to(self, device: torch.device) -> Features:
        """Return these features on ``device``."""
        wait = device.type == "cpu"  # a copy to the CPU that is not waited for is read before it is there
        return Features(**{name: column.to(device, non_blocking=not wait) for name, column in self.columns().items()})

    def __len__(self) -> int:
        return next((len(column) for column in self.columns().values()), 0)

    def __getitem__(self, rows: slice | Tensor) -> Features:
        return replace(self, **{name: column[rows] for name, column in self.columns().items()})
