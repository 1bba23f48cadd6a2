"""Prepared tensors: what measures have made of a frozen side, checked where files say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.core.layout import Layout


def check_prepared(layout: Layout, place: int, tensors: Mapping[str, Any], n: int) -> None:
    """Raise ValueError unless tensors could be what a measure prepared of a fixed side of ``n`` samples, or of none.

    Args:
        layout: of the metric.
        place: of the measure.
        tensors: by the names of states, among others.
        n: samples of the side.
    """
    measure, names = layout.measures[place], layout.prepared[place]
    models = measure.prepares(layout.networks[layout.places[place]].spec) if names else {}
    for key, name in names.items():
        _check_like(name, tensors[name], models[key])
    found = {key: tensors[name] for key, name in names.items()}
    if not any(len(tensor) for tensor in found.values()):
        return
    what = f"State {measure.fixed}_prepared of {measure.describe()}"
    if not all(len(tensor) for tensor in found.values()):
        empty = [key for key, tensor in found.items() if not len(tensor)]
        raise ValueError(f"{what}: expected all of {sorted(found)} or none, got no {empty}. {REMEDY}")
    try:
        measure.check_prepared(found, n)
    except ValueError as error:
        raise ValueError(f"{what}: {error} {REMEDY}") from error


def _check_like(name: str, tensor: Any, model: Tensor) -> None:
    if isinstance(tensor, Tensor) and (tensor.dtype, tensor.shape[1:]) == (model.dtype, model.shape[1:]):
        if tensor.ndim == model.ndim and tensor.isfinite().all():
            return
        got = f"values that are not finite in {tuple(tensor.shape)}"
    else:
        got = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
    shape = ", ".join(map(str, ("N", *model.shape[1:])))
    raise ValueError(f"State {name}: expected finite {model.dtype} ({shape}), got {got}. {REMEDY}")


REMEDY = "Remedy: make it again, by freeze() of the samples or save_reference()."
