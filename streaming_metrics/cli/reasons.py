"""Reasons: why scores do not compare that differ in one thing, as data by the name of that thing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streaming_metrics.arguments import split_outside

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = re.compile(r"(?P<network>.+?)-(?P<weights>[0-9a-f]{8})(?:-(?P<layer>.+))?")
MEASURE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
REASONS = {
    "resize": "how images are brought to the network's side moves every feature",
    "precision": "a network in another precision yields other features: distances move in their second decimal",
    "real": "a distance falls, and recall and coverage change, with the number of real samples",
    "fake": "a distance falls with the number of samples, and a score of splits rises: compare equal numbers, or what "
    "FID(se=True) reports as corrected",
    "train": "the nearest of more training samples is nearer",
    "exif": "an image that is turned is another image to a network; published protocols take pixels as stored",
    "real data": "a distance to other real images is another distance",
    "captions": "another choice of captions is another distribution to generate",
    "extractor.network": "distances of two networks have no common unit",
    "extractor.weights": "the same architecture with other weights yields other features",
    "extractor.layer": "each layer of a network has a scale of its own",
    "prdc.variant": "prdc takes k = 5 and inside as nearer than the radius; improved k = 3 and at most the radius, "
    "published on VGG16 fc2; guided-diffusion the same of squared distances rounded to float16, published on "
    "Inception's pool against 10,000 real images",
    "prdc.k": "balls reach to the k-th neighbour: precision, recall and coverage rise with k",
    "prdc.capacity": "balls of fewer samples are larger",
    "is.splits": "a score of smaller splits is lower: exp of a mean over fewer samples",
    "is.split_size": "splits of a size are contiguous, and the last may be short; guided-diffusion's hold 5000, others "
    "make 10 of any size",
    "is.assignment": "splits of other samples; of samples sorted by class, contiguous ones lower the score",
    "is.num_samples": "splits are dealt by the number of samples",
    "kid.subsets": "the mean over other subsets, or of all pairs",
    "kid.subset_size": "the spread over subsets falls with their size",
    "kid.gamma": "another kernel is another distance",
    "kid.coef": "another kernel is another distance",
    "kid.degree": "another kernel is another distance",
    "fvd.protocol": "protocols differ in the network, in how frames are brought to it and in the covariance's divisor",
    "vendi.q": "the order says how much rare modes weigh",
    "*.seed": "another random draw moves the value within its spread",
    "*.most": "other samples are looked at",
    "*.capacity": "other samples are kept",
    "*.classes": "another number of classes is another mean",
    "measures": "two measures are two quantities",
    "measures.sfid": "sfid is of spatial features, fid of their mean over space",
    "measures.rfid": "rfid is between images and their own reconstructions, an autoencoder's; fid is a generator's",
    "measures.fd_dinov2": "fd_dinov2 is of DINOv2, whose distances are some hundred times those of fid",
    "measures.fdr6": "fdr6 is a mean of six ratios, 1 for ImageNet's validation images; fid is a distance",
    "measures.fvd": "fvd is of clips",
}
"""What a difference does, by the name of a fact, by ``extractor.<part>``, by ``<measure>.<parameter>``, ``*`` for any
measure, and by ``measures.<measure>`` where two scores share none.
"""
RESIZES = {
    "tf1-bilinear": "torch-fidelity's, guided-diffusion's and EDM's",
    "torch-bilinear": "pytorch-fid's and dgm-eval's Inception's",
    "torch-antialias": "torchmetrics'",
    "clean": "clean-fid's",
    "pil-bicubic": "dgm-eval's DINOv2's",
    "edm2-bicubic": "EDM2's DINOv2's",
    "pil-bicubic-square": "CMMD's",
    "adm": "guided-diffusion's crop, which FDr6 takes",
}
"""Whose a named resize is."""


def reasons(what: str, first: str | None, second: str | None) -> list[str]:
    """Return why a difference of a fact matters, one for each part of it that differs; none that is not known.

    Args:
        what: name of the fact, as :func:`~streaming_metrics.cli.facts.facts` gives it.
        first, second: its values.

    Example:
        >>> reasons("prdc", "prdc(variant=improved)", "prdc(k=5,variant=improved)")
        ['prdc k, default and 5: balls reach to the k-th neighbour: precision, recall and coverage rise with k']
        >>> reasons("resize", "clean-299", "tf1-bilinear-299")[0].partition(":")[2]
        " how images are brought to the network's side moves every feature"
    """
    if first is None or second is None:
        return []
    fact = what.partition(" of ")[0]
    return [
        f"{name}: {REASONS[key]}"
        for name, keys in _parts(fact, first, second)
        for key in [next((key for key in keys if key in REASONS), "")]
        if key
    ]


def _parts(fact: str, first: str, second: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the parts in which two values of a fact differ, in words, and what their reasons may be called."""
    ours, theirs = NETWORK.fullmatch(first), NETWORK.fullmatch(second)
    if fact == "extractor" and ours and theirs:
        for part, one in ours.groupdict().items():
            if one != theirs[part]:
                yield f"{part}, {one or 'pool'} and {theirs[part] or 'pool'}", (f"extractor.{part}",)
                return  # of another network, weights and layers are others anyway
    elif fact == "resize":
        yield f"resize, {_whose(first)} and {_whose(second)}", ("resize",)
    elif fact == "measures":
        known = [label for label in sorted(_labels(first) ^ _labels(second)) if f"measures.{label}" in REASONS]
        yield from ((label, (f"measures.{label}",)) for label in known)
        if not known:
            yield f"measures, {first} and {second}", ("measures",)
    elif fact in REASONS:
        yield f"{fact}, {first} and {second}", (fact,)
    else:
        yield from _parameters_apart(fact, first, second)


def _parameters_apart(label: str, first: str, second: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for ours, theirs in zip(*(map(_parameters, split_outside(value, "+")) for value in (first, second))):
        for name in dict.fromkeys((*ours, *theirs)):
            one, other = ours.get(name, "default"), theirs.get(name, "default")
            if one != other:
                yield f"{label} {name}, {one} and {other}", (f"{label}.{name}", f"*.{name}")


def _parameters(measure: str) -> dict[str, str]:
    match = MEASURE.fullmatch(measure)
    given = split_outside(match[2], ",") if match and match[2] else []
    return {name.strip(): value for name, _, value in (one.partition("=") for one in given)}


def _labels(measures: str) -> set[str]:
    return {measure.partition("(")[0] for measure in split_outside(measures, "+")}


def _whose(resize: str) -> str:
    """Return a resize with whose it is, where that is known.

    Example:
        >>> _whose("clean-299"), _whose("mine-64")
        ("clean-299 (clean-fid's)", 'mine-64')
    """
    whose = RESIZES.get(resize.rpartition("-")[0])
    return f"{resize} ({whose})" if whose else resize
