"""The extractor that a file was made with, by what the file says of it: no network, only its name in keys and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import RECORDED
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Recorded(Extractor):
    """Stands for an extractor where samples come from files alone.

    Args:
        record: what :func:`record_of` returned.

    Raises:
        ValueError: where it is no such record.

    Example:
        >>> from streaming_metrics.extractors import EfficientNetLite0
        >>> extractor = EfficientNetLite0(side=64)
        >>> Recorded(record_of(extractor)).fingerprint == extractor.fingerprint
        True
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            texts = {name: str(record[name]) for name in RECORDED}
            features, classes = (None if (n := record[key]) is None else int(n) for key in ("features", "classes"))
            widths = {str(column): int(width) for column, width in record.get("widths", {}).items()}
            self.spec = Spec(features, classes, widths)
            self.published = frozenset(map(str, record["published"]))
            self.takes = "clips" if record.get("takes") == "clips" else "images"
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected a record of an extractor, got {record!r}.") from error
        for name, text in texts.items():
            setattr(self, name, text)

    def extract(self, images: Tensor) -> Features:  # noqa: ARG002
        """Raise RuntimeError: there is no network."""
        raise RuntimeError(f"{self.name} is only what a file says of it. Remedy: build the metric with extractor=.")


def record_of(extractor: Extractor) -> dict[str, Any]:
    """Return all that a file says of an extractor; JSON holds it."""
    record: dict[str, Any] = {name: getattr(extractor, name) for name in RECORDED}
    widths = {"features": extractor.spec.num_features, "classes": extractor.spec.num_classes}
    further = {"widths": dict(extractor.spec.widths)} if extractor.spec.widths else {}
    further |= {"takes": extractor.takes} if extractor.takes != "images" else {}
    return record | widths | further | {"published": sorted(extractor.published)}
