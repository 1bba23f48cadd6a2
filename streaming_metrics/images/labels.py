"""Labels of image files: the first folder below the source, or what StyleGAN's ``dataset.json`` beside them says."""

from __future__ import annotations

import json
from abc import abstractmethod
from functools import cached_property
from posixpath import normpath
from typing import TYPE_CHECKING

from streaming_metrics.images.base import Images
from streaming_metrics.images.names import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping


class WithPaths(Images):
    """Images with paths, which tell their classes unless a ``dataset.json`` does: what folders and archives share."""

    @abstractmethod
    def path_below(self, i: int) -> str: ...

    def content_of(self, name: str) -> bytes | None:  # noqa: ARG002
        """Return the bytes of a file beside the images; None where there is none."""
        return None

    @property
    def labelled_by(self) -> str:
        return "folder" if self._told is None else LABELS

    def label(self, i: int) -> str | None:
        path = normpath(self.path_below(i))
        if self._told is not None:
            return self._told.get(path)
        folder, slash, _ = path.partition("/")
        return folder if slash else None

    @cached_property
    def _told(self) -> Mapping[str, str] | None:
        content = self.content_of(LABELS)
        return None if content is None else labels_told(content, f"{self.name(0)}: {LABELS} beside it")


def labels_told(content: bytes, source: str) -> dict[str, str] | None:
    """Return the labels that a ``dataset.json`` tells, by path; none where its list is null, as of images of no class.

    Args:
        content: ``{"labels": [["00000/img00000000.png", 6], …]}``, as StyleGAN's and EDM's dataset tools write it.
        source: names the file in errors.

    Returns:
        None of a file of another kind, which has no ``labels``.

    Raises:
        ValueError: where it does not read, or labels are no integers or texts.

    Example:
        >>> labels_told(b'{"labels": [["0/1.png", 6]]}', "a.zip"), labels_told(b'{"labels": null}', "a.zip")
        ({'0/1.png': '6'}, {})
    """
    try:
        told = json.loads(content)
        if not isinstance(told, dict) or "labels" not in told:
            return None
        pairs = [(normpath(path), label) for path, label in told["labels"] or ()]
        if wrong := [label for _, label in pairs if isinstance(label, bool) or not isinstance(label, (int, str))]:
            raise ValueError(f"expected an integer a path, got {wrong[0]!r}")
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f'{source}: expected {{"labels": [["a/0.png", 6], …]}}, got another content: {error}. Remedy: mend it, or '
            "move it away for classes by folders."
        ) from error
    return {path: str(label) for path, label in pairs}
