"""Features: what one forward pass says of samples, a row each, in columns by name; and the columns' widths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

Role: TypeAlias = str
"""Whose samples: ``"real"`` and ``"fake"`` always; ``"train"`` and ``"heldout"`` where a measure asks."""

SAMPLE_COLUMNS = ("index", "hashes", "labels", "captions")
"""Columns that belong to a sample, int64 ``(N,)``, and not to a network."""

ANY_WIDTH = 0
"""Width of a column that is as wide as the images are large: one for all samples of a metric, known with the first."""


@dataclass(frozen=True)
class Spec:
    """Widths that an extractor yields; a measure sizes its statistics by them.

    Args:
        num_features: columns of ``Features.pool``, or None where there is no pool.
        num_classes: columns of ``Features.logits``, or None where there are no logits.
        widths: of further columns, by name, e.g. ``{"spatial": 2023}``; :data:`ANY_WIDTH` where images decide it.

    Example:
        >>> Spec(num_features=4, widths={"text": 8}).width("text")
        8
    """

    num_features: int | None = None
    num_classes: int | None = None
    widths: Mapping[str, int] = field(default_factory=dict, hash=False)

    def width(self, column: str) -> int | None:
        """Return the width of a column; None where there is no such column."""
        return {"pool": self.num_features, "logits": self.num_classes, **self.widths}.get(column)


def _sent(column: Tensor, device: torch.device) -> Tensor:
    """Return a column on a device, without waiting for that where it need not."""
    if device.type == "cpu":
        return column.to(device)  # it would be read before it is there
    if column.device.type == "cpu" and column.is_pinned():
        column = column.clone()  # it would be read after the caller has written over it
    return column.to(device, non_blocking=True)


class Features:
    """Features of N samples, in columns by name.

    Args:
        pool: ``(N, D)`` floating point, the features that distances and moments are taken of.
        logits: ``(N, C)`` floating point, unnormalised class scores.
        index: ``(N,)`` int64, which samples these are: see :mod:`streaming_metrics.statistics.index`.
        hashes: ``(N,)`` int64, equal where samples repeat: see :mod:`streaming_metrics.statistics.hashes`; made by
            ``update`` of images, or of the rows where there are none.
        columns: any others: ``labels`` and ``captions`` ``(N,)`` int64 of the samples; ``(N, W)`` floating point of a
            network, e.g. ``text``, ``score``, ``spatial``. None leaves a column out.

    A column is read as an attribute, None where one of those named here is absent.

    Example:
        >>> import torch
        >>> features = Features(torch.zeros(4, 8), torch.zeros(4, 10), labels=torch.arange(4))
        >>> len(features), features[:3].labels, features.captions
        (4, tensor([0, 1, 2]), None)
    """

    pool: Tensor | None = None
    logits: Tensor | None = None
    index: Tensor | None = None
    hashes: Tensor | None = None
    labels: Tensor | None = None
    captions: Tensor | None = None

    def __init__(
        self,
        pool: Tensor | None = None,
        logits: Tensor | None = None,
        index: Tensor | None = None,
        hashes: Tensor | None = None,
        **columns: Tensor | None,
    ) -> None:
        given = {"pool": pool, "logits": logits, "index": index, "hashes": hashes, **columns}
        vars(self).update({name: column for name, column in given.items() if column is not None})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor: ...

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Features are not changed. Remedy: features.having({name}=…).")

    def columns(self) -> dict[str, Tensor]:
        """Return the tensors that are present, by name."""
        return dict(vars(self))

    def column(self, name: str) -> Tensor | None:
        """Return a column by name; None where it is absent."""
        return vars(self).get(name)

    def having(self, **columns: Tensor | None) -> Features:
        """Return these features with some columns replaced, added or, where None, left out."""
        return Features(**{**vars(self), **columns})

    def to(self, device: torch.device) -> Features:
        """Return these features on ``device``."""
        if all(column.device == device for column in vars(self).values()):
            return self
        return Features(**{name: _sent(column, device) for name, column in vars(self).items()})

    def __len__(self) -> int:
        return next((len(column) for column in vars(self).values()), 0)

    def __getitem__(self, rows: slice | Tensor) -> Features:
        return Features(**{name: column[rows] for name, column in vars(self).items()})

    def __repr__(self) -> str:
        shapes = {name: tuple(getattr(column, "shape", ())) for name, column in vars(self).items()}
        return f"Features({', '.join(f'{name}={shape}' for name, shape in shapes.items())})"
