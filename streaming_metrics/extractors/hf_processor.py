"""Image processors of transformers, as the :class:`Preprocess` that does what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.extractors.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = ("ViT", "DeiT", "Beit", "CLIP", "Bit", "Siglip")
"""Processors that resize, cut out the middle where told so, and scale, in this order."""
OTHERS = ("ConvNext", "DINOv3ViT")
"""ConvNext's squeezes large images only; DINOv3's resizes numbers in [0, 1], not bytes."""
LARGE = 384
"""Pixels from which ConvNext's squeezes rather than cuts."""
BY_PILLOW = {2: "pil-bilinear", 3: "pil-bicubic"}
BY_TORCH = {2: "torch-antialias", 3: "torch-bicubic"}
"""Samplers by Pillow's numbers of them: where bytes are resized, and where numbers in [0, 1] are."""


def preprocess_of(processor: Any, name: str) -> Preprocess:
    """Return what an image processor of transformers does to an image.

    Args:
        processor: the processor.
        name: of the network, in errors.

    Raises:
        ValueError: a processor that is not known, or one that does something else.

    Example:
        >>> from transformers import CLIPImageProcessor
        >>> preprocess_of(CLIPImageProcessor(), "hf/clip").name
        'pil-bicubic-224-floor-224'
    """
    facts = processor.to_dict()
    kind = type(processor).__name__.removesuffix("Fast").removesuffix("ImageProcessor")
    try:
        _expect(facts["do_resize"] and facts["do_rescale"] and abs(facts["rescale_factor"] * 255 - 1) < 1e-6)
        return Preprocess(**_geometry(kind, facts), **_scale(facts))
    except (KeyError, TypeError, ValueError) as error:
        told = {key: facts.get(key) for key in ("do_resize", "size", "resample", "do_center_crop", "crop_size")}
        raise ValueError(
            f"{name}: expected a processor of {', '.join([*PLAIN, *OTHERS])} that resizes, bicubic or bilinear, to a "
            f"square, and divides by 255, got {type(processor).__name__} with {told}. Remedy: an nn.Module that "
            "prepares its images, as extractor=."
        ) from error


def _geometry(kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return side, resize and crop; raise ValueError or KeyError where they are not known."""
    _expect(kind in (*PLAIN, *OTHERS))
    size, sampler = facts["size"], (BY_TORCH if kind == "DINOv3ViT" else BY_PILLOW)[int(facts["resample"])]
    if kind == "ConvNext":
        side = size["shortest_edge"]
        cut = {} if side >= LARGE else {"crop": "shorter-floor", "before": int(side / facts["crop_pct"])}
        return {"side": side, "resize": sampler, **cut}
    shorter = "shortest_edge" in size
    before = size["shortest_edge"] if shorter else _square(size)
    if not facts.get("do_center_crop"):
        _expect(not shorter)
        return {"side": before, "resize": sampler}
    side = _square(facts["crop_size"])
    _expect(shorter or (before - side) % 2 == 0)  # else the margins differ from torchvision's
    return {"side": side, "resize": sampler, "crop": "shorter-floor" if shorter else "squash", "before": before}


def _square(size: Mapping[str, int]) -> int:
    _expect(size["height"] == size["width"])
    return size["height"]


def _scale(facts: Mapping[str, Any]) -> dict[str, Any]:
    if not facts["do_normalize"]:
        return {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return {"mean": tuple(facts["image_mean"]), "std": tuple(facts["image_std"])}


def _expect(known: bool) -> None:
    if not known:
        raise ValueError
