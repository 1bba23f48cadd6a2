"""Registry of extractors: the :class:`Extractor` that ``extractor=`` stands for, a name or a module."""

from __future__ import annotations

import re
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from streaming_metrics.arguments import split_outside
from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.module import ModuleExtractor
from streaming_metrics.extractors.names import EXTRACTORS, FAMILIES, NETWORKS, RECORD_RESIZE, unknown
from streaming_metrics.images.options import typed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from streaming_metrics.images.conversion import Takes

WITH_ARGUMENTS = re.compile(r"([^()]+)\((\w+ *=[^()]*)\)")


def resolve(
    extractor: str | nn.Module,
    *,
    weights: str | os.PathLike[str] | None = None,
    resize: str | None = None,
    tag: str | None = None,
    num_features: int | None = None,
    precision: str | None = None,
) -> Extractor:
    """Return the extractor that a name, an :class:`Extractor` or a module stands for.

    Args:
        extractor: a name of :data:`EXTRACTORS`, also with arguments of its class, ``"i3d(frames=32,stride=2)"``; an
            :class:`Extractor`, returned as it is; or a module from uint8 images to features ``(N, D)``, see
            :class:`ModuleExtractor`.
        weights: path or URL of the weights, for the networks with a name.
        resize: a named resize, for ``"inception-v3"``.
        tag: the suffix of the keys, for a module.
        num_features: D, for a module.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, for all but an :class:`Extractor`, which has its own.

    Raises:
        TypeError: neither a name nor a module; or an option that this extractor does not take.
        ValueError: an unknown name, the nearest ones are offered; and what the extractor itself raises.

    Example:
        >>> resolve("inception-v4")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: Unknown extractor 'inception-v4'. Did you mean 'inception-v3' ...
    """
    given = {"weights": weights, "resize": resize, "tag": tag, "num_features": num_features, "precision": precision}
    options = {name: value for name, value in given.items() if value is not None}
    name, given = _taken_apart(extractor)
    make, arguments = _recipe(name)
    options = given | options
    _check_options(name, options, make)
    with torch.inference_mode(False):
        return make(*arguments, **options)


def takes_of(extractor: object) -> Takes:
    """Return what the extractor that a name, an :class:`Extractor` or a module stands for takes; nothing is loaded, so
    that a name which there is not is refused where it is: until then, images.

    Example:
        >>> takes_of("inception-v3"), takes_of("i3d")
        ('images', 'clips')
    """
    if isinstance(extractor, Extractor):
        return extractor.takes
    try:
        return getattr(_recipe(_taken_apart(extractor)[0])[0], "takes", "images")
    except ValueError:
        return "images"


def as_recorded(name: str, resize: str) -> tuple[str, str | None]:
    """Return a network's name, and its ``resize=``, with which it prepares images as a file says that it did; the name
    alone where it does so in one way only.

    Example:
        >>> as_recorded("efficientnet-lite0", "torch-antialias-32"), as_recorded("inception-v3", "clean-299")
        (('efficientnet-lite0(side=32)', None), ('inception-v3', 'clean'))
        >>> as_recorded("low-level", "none")
        ('low-level', None)
    """
    named, _, side = resize.rpartition("-")
    if "side" in signature(_recipe(name)[0]).parameters and side.isdecimal():
        return f"{name}(side={side})", None
    return name, named if name in RECORD_RESIZE else None


def _taken_apart(extractor: object) -> tuple[object, dict[str, Any]]:
    """Return an extractor's name and the arguments behind it; all else as it is.

    Example:
        >>> _taken_apart("i3d(frames=32,fps=8)"), _taken_apart("low-level")
        (('i3d', {'frames': 32, 'fps': 8}), ('low-level', {}))
        >>> _taken_apart("dinov2-vits14(resize=edm2-bicubic)")
        ('dinov2-vits14', {'resize': 'edm2-bicubic'})
    """
    match = WITH_ARGUMENTS.fullmatch(extractor) if isinstance(extractor, str) else None
    if match is None:
        return extractor, {}
    pairs = [[piece.strip() for piece in part.partition("=")] for part in split_outside(match[2], ",")]
    given = {name: typed(value) for name, _, value in pairs}
    if not all(name.isidentifier() and value for name, _, value in pairs) or len(given) < len(pairs):
        raise ValueError(f"extractor: expected {match[1]}(argument=value), each once, got {extractor!r}.")
    return match[1], given


def _recipe(extractor: object) -> tuple[Callable[..., Extractor], list[Any]]:
    """Return what makes the extractor, and the positional arguments for it."""
    if isinstance(extractor, Extractor):
        return lambda: extractor, []
    if isinstance(extractor, nn.Module):
        return ModuleExtractor, [extractor]
    if not isinstance(extractor, str):
        raise TypeError(f"extractor: expected a name, an Extractor or an nn.Module, got {type(extractor).__name__}.")
    if extractor in NETWORKS:
        where, *arguments = NETWORKS[extractor]
        return _class_at(where), arguments
    prefix, slash, rest = extractor.partition("/")
    if prefix + slash in FAMILIES:
        return _class_at(FAMILIES[prefix + slash][0]), [rest]
    raise unknown(extractor, "extractor", nearby=[*NETWORKS, *_of_torchvision()], listed=EXTRACTORS)


def _class_at(where: str) -> type[Extractor]:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def _of_torchvision() -> list[str]:
    from torchvision import models

    return [f"torchvision/{model}" for model in models.list_models(module=models)]


def _check_options(extractor: object, options: Mapping[str, object], make: Callable[..., Extractor]) -> None:
    refused = options.keys() - signature(make).parameters.keys()
    if refused:
        what = extractor if isinstance(extractor, str) else type(extractor).__name__
        raise TypeError(f"extractor {what} takes no {', '.join(sorted(refused))}. Remedy: leave it out.")
