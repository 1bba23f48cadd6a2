"""Error scalars: what the standard error of a scalar is called, what it is about, and that of a share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.measures.base import Scalar
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from torch import Tensor

AT_THIS_N, BOTH_RANDOM = "value at this N, given the reference", "value at this N, both sides random"
"""What intervals are about, in words."""


def error_of(scalar: Scalar, about: str) -> Scalar:
    """Return the scalar of another's standard error: ``<key>_se``.

    Example:
        >>> error_of(Scalar("kid", "Kernel distance", "lower", elsewhere="kd"), "MMD²").reported("dinov2")
        'kd_se_dinov2'
    """
    return Scalar(
        f"{scalar.key}_se",
        f"Standard error of {scalar.title or scalar.key}",
        family=scalar.family or scalar.title or scalar.key,
        spread_of=scalar.key,
        elsewhere=f"{scalar.elsewhere}_se" if scalar.elsewhere else "",
        about=about,
    )


def share_error_of(share: Tensor, n: float) -> Tensor:
    """Return the standard error of a share of n samples, float64 ``()``: see
    :func:`~streaming_metrics.verdicts.intervals.share_error`.
    """
    return torch.tensor(share_error(float(share), n), dtype=torch.float64, device=share.device)
