"""What comes in: images through the extractor, or features as they are, checked before any state is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streaming_metrics.features import Features, Spec
from streaming_metrics.images.conversion import checked_range, to_uint8
from streaming_metrics.statistics.base import LARGEST
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streaming_metrics.extractors.base import Extractor


LOST = 2.0**-6
"""Share of their spread by which rounding may move samples against each other."""


@dataclass(frozen=True)
class InputPipeline:
    """Turns what a user gives to ``update`` into features of the right widths.

    Args:
        extractor: the network; None where features are given.
        spec: widths of its features.
        value_range: what floats stand for black and white, ``(0, 1)`` or ``(-1, 1)``; None takes uint8 only.
    """

    extractor: Extractor | None
    spec: Spec
    value_range: tuple[float, float] | None = None

    def __call__(self, given: Tensor | Features, columns: Mapping[str, bool], where: str) -> Features:
        """Return checked features.

        Args:
            given: images, or features.
            columns: which of :class:`Features` are needed, and whether they will be rounded to float32.
            where: names the role and the batch in errors.

        Raises:
            TypeError, ValueError: where images or features are not as expected, not finite, or lost in float32.
        """
        features = given if isinstance(given, Features) else self._extract(given)
        needed = {column: self._checked(getattr(features, column), column, where) for column in columns}
        _check_values(needed, {column for column, rounded in columns.items() if rounded}, where)
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


def _check_values(columns: dict[str, Tensor], rounded: Collection[str], where: str) -> None:
    """Raise ValueError unless all columns are finite, and survive float32 where they are ``rounded`` to it; the one
    time that an update waits for the device.
    """
    usable = {column: rows.abs().amax(1) < LARGEST for column, rows in columns.items()}
    flags = [rows.all() for rows in usable.values()]
    flags += [_survives_float32(columns[column]) for column in rounded if columns[column].dtype == torch.float64]
    if not flags or torch.stack([flag.to(flags[0].device) for flag in flags]).all():
        return
    for column, rows in usable.items():
        if not rows.all():
            raise ValueError(
                f"{where}: {int((~rows).sum())} of {len(rows)} samples have non-finite {column} "
                f"(or beyond {LARGEST:g}); nothing was added. "
                "Remedy: look for NaN in the generator's images or the extractor's precision."
            )
    raise ValueError(
        f"{where}: the differences between these float64 samples are lost in float32, in which KID and PRDC keep "
        "features; nothing was added. Remedy: subtract one constant from the features of both sides, so that their "
        "mean is at most 100,000 times their spread; or scale both alike into float32's range."
    )


def _survives_float32(rows: Tensor) -> Tensor:
    """Return bool ``()``: whether rounding moves samples against each other by less than a share of their spread."""
    if not len(rows):
        return rows.new_ones((), dtype=torch.bool)
    moved = rows - rows.float()
    return (moved - moved.mean(0)).abs().sum() <= LOST * (rows - rows.mean(0)).abs().sum()


def check_value_range(value_range: Iterable[float] | str | None) -> tuple[float, float] | None:
    """Return ``value_range``, a list or ``"0,1"`` too, as a tuple; raise ValueError unless two ascending numbers."""
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range.split(",") if isinstance(value_range, str) else value_range)
        return checked_range((low, high))
    except (TypeError, ValueError):
        raise ValueError(
            f"value_range: expected (0, 1), (-1, 1) or None for uint8 images, got {value_range!r}. "
            "Remedy: two numbers, low < high."
        ) from None
