"""EXIF: whether images are turned as it says; told by signatures and references, and the same on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streaming_metrics.files.reference import Reference
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from streaming_metrics.images import Images

OPTION = "--exif"
FACT, TURNED = "exif", "turned"


def as_asked(source: Images | Reference, text: str, *, exif: bool, of_clips: bool) -> Images | Reference:
    """Return a source whose images are turned as EXIF says where that is asked for.

    Raises:
        ValueError: for clips; for a reference that was made otherwise.
    """
    if isinstance(source, Reference):
        _refuse_other(text, was_turned=source.about.get(FACT) == TURNED, exif=exif)
        return source
    if exif and of_clips:
        raise ValueError(f"{OPTION}: expected images, got a network of clips, whose frames are taken as stored.")
    return source.turned_upright() if exif else source


def signed(line: str, *, exif: bool) -> str:
    """Return a signature that says whether images were turned.

    Example:
        >>> signed("fid|ext:a-6726825d|resize:clean-299|real:5|fake:5|fp32|v0.1.0", exif=True)
        'fid|ext:a-6726825d|resize:clean-299|real:5|fake:5|exif:turned|fp32|v0.1.0'
    """
    return str(replace(Signature.parse(line), exif=TURNED)) if exif else line


def record_of_exif(*, exif: bool) -> dict[str, str]:
    """Return what a reference says of it; nothing where images are taken as stored, as all were once."""
    return {FACT: TURNED} if exif else {}


def refuse_unsaid(*, exif: bool) -> None:
    """Raise ValueError where an ``.npz`` would be made of turned images, which it cannot say."""
    if exif:
        raise ValueError(f"An .npz does not say {OPTION}. Remedy: leave {OPTION} out, or a path of another ending.")


def _refuse_other(text: str, *, was_turned: bool, exif: bool) -> None:
    if was_turned != exif:
        made, asked = ("turned as EXIF says" if one else "taken as stored" for one in (was_turned, exif))
        remedy = f"{OPTION} here too" if was_turned else f"leave {OPTION} out, or make it again with {OPTION}"
        raise ValueError(f"{text}: expected a reference of images {asked}, got one of images {made}. Remedy: {remedy}.")
