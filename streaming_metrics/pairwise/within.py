"""Values within reach: the few of a matrix that are no larger than their row's limit, and the smallest of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import torch

if TYPE_CHECKING:
    from torch import Tensor

GROUP = 2**3
"""Columns of which the smallest value alone is looked at first: a minimum is made much faster than a comparison."""


@overload
def within(values: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]: ...
@overload
def within(values: Tensor, reach: Tensor, most: int) -> tuple[Tensor, Tensor] | None: ...
def within(values: Tensor, reach: Tensor, most: int | None = None) -> tuple[Tensor, Tensor] | None:
    """Return the rows, ascending, and the columns, int64 ``(P,)``, of the values ``(n, m)`` that are at most ``reach``
    ``(n,)`` of their row; None where they are more than ``most``.

    Example:
        >>> within(torch.tensor([[1.0, 5.0], [3.0, 2.0]]), torch.tensor([1.0, 4.0]))
        (tensor([0, 1, 1]), tensor([0, 0, 1]))
    """
    limits, most = reach.unsqueeze(1), values.numel() if most is None else most
    if values.shape[1] % GROUP or not values.numel():
        return _few(values <= limits, most)
    near = _group_minima(values) <= limits
    if int(near.count_nonzero()) > near.numel() // GROUP:
        return _few(values <= limits, most)
    rows, groups = where(near)
    members = values.unflatten(1, (GROUP, -1))[rows, :, groups]
    found, member = where(members <= limits[rows])
    return rows[found], groups[found] + near.shape[1] * member


def smallest_of(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return values and columns that hold the ``count`` smallest of each row, in any order, and maybe others.

    The smallest lie in the groups of the smallest minima, an eighth of the values to choose among.
    """
    groups = values.shape[1] // GROUP
    if values.shape[1] % GROUP or groups <= count:
        return values.topk(min(count, values.shape[1]), largest=False, sorted=False)
    heads = _group_minima(values).topk(count, largest=False, sorted=False).indices
    columns = (heads.unsqueeze(1) + groups * torch.arange(GROUP, device=values.device).unsqueeze(1)).flatten(1)
    return values.gather(1, columns), columns


def _few(mask: Tensor, most: int) -> tuple[Tensor, Tensor] | None:
    return where(mask) if most >= mask.numel() or int(mask.count_nonzero()) <= most else None


def _group_minima(values: Tensor) -> Tensor:
    """Return ``(n, m / 8)``: of columns g, g + m / 8, …, the smallest."""
    groups = values.shape[1] // GROUP
    while values.shape[1] > groups:
        values = torch.minimum(*values.chunk(2, 1))
    return values


def where(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows, ascending, and the columns of what is true in a matrix."""
    rows, columns = mask.nonzero(as_tuple=True)
    return rows, columns


def below(values: Tensor) -> Tensor:
    """Return the float32 next below the float32 ``values``, or those that are not above them in float64."""
    return torch.nextafter(values.float(), torch.full((), -torch.inf, device=values.device))


def above(values: Tensor) -> Tensor:
    """Return float32 that are not below the float64 ``values``."""
    return torch.nextafter(values.float(), torch.full((), torch.inf, device=values.device))
