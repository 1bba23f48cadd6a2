"""What comes in: images through the extractor, or features as they are, checked before any state is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.extractors.preprocess import to_uint8
from streaming_metrics.features import Features, Spec
from streaming_metrics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.extractors.base import Extractor


LARGEST = 1e15  # squares of such features still add up in float32


@dataclass(frozen=True)
class Intake:
    """Turns what a user gives to ``update`` into features of the right widths.

    Args:
        extractor: the network; None where features are given.
        spec: widths of its features.
        value_range: what floats stand for black and white, ``(0, 1)`` or ``(-1, 1)``; None takes uint8 only.
    """

    extractor: Extractor | None
    spec: Spec
    value_range: tuple[float, float] | None = None

    def __call__(self, given: Tensor | Features, columns: Iterable[str], where: str) -> Features:
        """Return checked features.

        Args:
            given: images, or features.
            columns: which of :class:`Features` are needed.
            where: names the role and the batch in errors.

        Raises:
            TypeError, ValueError: where images or features are not as expected, or not finite.
        """
        features = given if isinstance(given, Features) else self._extract(given)
        needed = {column: self._checked(getattr(features, column), column, where) for column in columns}
        _check_finite(needed, where)
        if len({len(column) for column in features.columns().values()}) > 1:
            raise ValueError(f"{where}: pool, logits, index and hashes must have one row a sample.")
        return _hashed(features, where)

    def _extract(self, given: Tensor) -> Features:
        if self.extractor is not None:
            device = self.extractor.device
            images = to_uint8(given, self.value_range).to(device, non_blocking=device.type == "cuda")
            hashes = hashes_of(images)
            return replace(self.extractor(images), hashes=hashes)
        if not isinstance(given, Tensor):
            raise TypeError(f"Expected a tensor of features (N, D) or Features, got {type(given).__name__}.")
        return Features(pool=given) if self.spec.num_features is not None else Features(logits=given)

    def _checked(self, rows: Tensor | None, column: str, where: str) -> Tensor:
        width = self.spec.num_classes if column == "logits" else self.spec.num_features
        if rows is None:
            raise ValueError(
                f"{where}: expected {column} (N, {width}), got none. Remedy: update(Features({column}=…, …))."
            )
        if not isinstance(rows, Tensor) or not rows.is_floating_point():
            raise TypeError(
                f"{where}: expected floating-point {column}, got {getattr(rows, 'dtype', type(rows).__name__)}."
            )
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(
                f"{where}: expected {column} of shape (N, {width}), got {tuple(rows.shape)}. "
                "Remedy: give the metric the width of these features, or features of that width."
            )
        return rows


def _hashed(features: Features, where: str) -> Features:
    """Return features with hashes: those that they have, else of their rows, where there are such."""
    rows = features.logits if features.pool is None else features.pool
    if features.hashes is None:
        return features if rows is None else replace(features, hashes=hashes_of(rows))
    if not isinstance(features.hashes, Tensor) or features.hashes.dtype != torch.int64 or features.hashes.ndim != 1:
        raise TypeError(f"{where}: expected int64 hashes (N,), got others. Remedy: leave them out, and they are made.")
    return features


def _check_finite(columns: dict[str, Tensor], where: str) -> None:
    """Raise ValueError unless all columns are finite; the one time that an update waits for the device."""
    usable = {column: rows.abs().amax(1) < LARGEST for column, rows in columns.items()}
    flags = [rows.all() for rows in usable.values()]
    if not flags or torch.stack([flag.to(flags[0].device) for flag in flags]).all():
        return
    for column, rows in usable.items():
        if not rows.all():
            raise ValueError(
                f"{where}: {int((~rows).sum())} of {len(rows)} samples have non-finite {column} "
                f"(or beyond {LARGEST:g}); nothing was added. "
                "Remedy: look for NaN in the generator's images or the extractor's precision."
            )


def check_value_range(value_range: tuple[float, float] | None) -> None:
    """Raise ValueError unless ``value_range`` is None or two ascending numbers."""
    if value_range is not None and not (len(value_range) == 2 and value_range[0] < value_range[1]):
        raise ValueError(f"value_range: expected (0, 1), (-1, 1) or None for uint8 images, got {value_range!r}.")
