"""Float16 reach: how far balls reach where squared distances are compared after rounding to float16."""

from __future__ import annotations

import torch
from torch import Tensor

PRECISION, LEAST = 2.0**-11, 2.0**-24
"""Share of the power of two above a value that float16's last digit there is, and the least that it can be."""
OVERFLOW = 65520.0
"""From here on float16 rounds to infinity, and distances are compared as they are."""


def half_reach(squared: Tensor) -> Tensor:
    """Return, for each squared radius ``(n,)`` float64, the largest squared distance that rounds to no more than it.

    Rounding is to nearest, ties to even, and keeps order: ``float16(d) <= float16(r)`` where ``d <= half_reach(r)``, so
    that closed balls of these radii count what rounded distances do, exactly, whatever computes the distances. What
    float16 cannot hold is not rounded.

    Example:
        >>> half_reach(torch.tensor([0.0, 2049.0, 2051.0, 65519.0, 65520.0], dtype=torch.float64)).tolist()
        [2.9802322387695312e-08, 2049.0, 2053.0, 65519.99999999999, 65520.0]
        >>> torch.tensor([2049.0, 2049.1, 2051.0, 2053.0]).half().tolist()
        [2048.0, 2050.0, 2052.0, 2052.0]
    """
    steps, unit = _in_units(squared)
    steps, unit = _in_units(steps * unit)  # of a rounded value the unit may be the next one
    above = (steps + 0.5) * unit
    odd = steps.remainder(2) == 1  # then the tie goes up
    reach = torch.where(odd, torch.nextafter(above, torch.zeros_like(above)), above)
    return torch.where(squared < OVERFLOW, reach, squared)


def _in_units(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return values in units of float16's last digit there, rounded to even, and the units."""
    power = (values / torch.frexp(values).mantissa).nan_to_num(0)  # of two, just above the value
    unit = (power * PRECISION).clamp(min=LEAST)
    return (values / unit).round(), unit
