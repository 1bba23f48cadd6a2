"""Folders of images as classes: where images lie in folders, these are what a report tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.features import Role

PER_FOLDER = 10
"""Images a folder, on average, from which on folders may be classes."""


@dataclass(frozen=True, eq=False)
class Folders:
    """Folders of both sides' images.

    Args:
        names: of the folders, below the sources, ascending.
        labels: of each side whose images lie in folders, the place of each image's folder among the names, int64 by id.
    """

    names: tuple[str, ...]
    labels: Mapping[Role, Tensor]

    @classmethod
    def of(cls, real: Any, fake: Any, comm: Comm | None = None) -> Folders | None:
        """Return the folders of two sources of images; None where generated images lie in one alone, or in as many as
        there are images; collective.

        Args:
            real, fake: the sources; folders are those of sources of :mod:`streaming_metrics.images`.
            comm: the ranks; where one of them has no such source, there are no folders for any.
        """
        found = cls._of(real, fake)
        if comm is None:
            return found
        known = [role in found.labels for role in ("real", "fake")] if found else [False, False]
        real_known, fake_known = comm.min(torch.tensor(known, dtype=torch.int64, device="cpu")).tolist()
        if found is None or not fake_known:
            return None
        return found if real_known else cls(found.names, {"fake": found.labels["fake"]})

    @classmethod
    def _of(cls, real: Any, fake: Any) -> Folders | None:
        found = {role: _folders(images) for role, images in (("real", real), ("fake", fake))}
        lies = {role: names for role, names in found.items() if names is not None}
        if "fake" not in lies:
            return None
        names = tuple(sorted({name for of in lies.values() for name in of}))
        place = {name: number for number, name in enumerate(names)}
        return cls(names, {role: torch.tensor([place[name] for name in of]) for role, of in lies.items()})


def _folders(images: Any) -> list[str] | None:
    """Return each image's folder; None where that tells nothing."""
    if not hasattr(images, "path_below"):
        return None
    paths = [images.path_below(i) for i in range(len(images))]
    names = ["" if path is None else path.replace("\\", "/").rpartition("/")[0] for path in paths]
    return names if 2 <= len(set(names)) <= len(names) / PER_FOLDER else None
