"""Registry of measures: where each is, by label; and measures made of text, ``kid(subset_size=500)``.

It imports no measure, and no PyTorch, before one is asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Set
from dataclasses import fields, replace
from importlib import import_module
from inspect import isabstract
from typing import TYPE_CHECKING, Any, TypeAlias

from streaming_metrics.arguments import split_outside
from streaming_metrics.extractors.names import lookup, unknown
from streaming_metrics.measures.options import name_of, needed_of, options_of, parsed, unified
from streaming_metrics.measures.reported import reported_keys as reported_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics.measures.base import Measure

OneGiven: TypeAlias = "Measure | type[Measure] | str"
MeasuresGiven: TypeAlias = "OneGiven | Iterable[OneGiven]"
"""What users may give as ``measures=``."""
HOUSE = "streaming_metrics.measures"
MEASURES = {
    "fid": f"{HOUSE}.frechet:FID",
    "kid": f"{HOUSE}.kernel:KID",
    "is": f"{HOUSE}.inception_score:IS",
    "prdc": f"{HOUSE}.prdc:PRDC",
    "fd_dinov2": f"{HOUSE}.fd_dinov2:FDDINOv2",
    "sfid": f"{HOUSE}.spatial_frechet:SFID",
    "rfid": f"{HOUSE}.reconstruction_frechet:RFID",
    "fid_inf": f"{HOUSE}.infinity:FIDInfinity",
    "is_inf": f"{HOUSE}.infinity:ISInfinity",
    "clipped": f"{HOUSE}.clipped:ClippedDensityCoverage",
    "pppr": f"{HOUSE}.probabilistic:PPPR",
    "topp_r": f"{HOUSE}.topological:TopPR",
    "fdr6": f"{HOUSE}.frechet_ratios:FDr6",
    "vendi": f"{HOUSE}.vendi:Vendi",
    "rke": f"{HOUSE}.rke:RKE",
    "fkea": f"{HOUSE}.fourier_entropy:FKEA",
    "ken": f"{HOUSE}.kernel_novelty:KEN",
    "mmd": f"{HOUSE}.mmd:MMD",
    "cmmd": f"{HOUSE}.cmmd:CMMD",
    "fvd": f"{HOUSE}.video_frechet:FVD",
    "jedi": f"{HOUSE}.jedi:JEDi",
    "authpct": f"{HOUSE}.authenticity:AuthPct",
    "ct": f"{HOUSE}.ct_score:CTScore",
    "mifid": f"{HOUSE}.mifid:MiFID",
    "ndb": f"{HOUSE}.bins:NDB",
    "modes": f"{HOUSE}.modes:Modes",
    "intra_fid": f"{HOUSE}.intra_frechet:IntraFID",
    "low_level": f"{HOUSE}.image_statistics:ImageStatistics",
    "fwd": f"{HOUSE}.wavelet_frechet:FWD",
    "sharpness_difference": f"{HOUSE}.sharpness:SharpnessDifference",
    "mode_score": f"{HOUSE}.mode_score:ModeScore",
    "modified_is": f"{HOUSE}.modified_inception_score:ModifiedIS",
    "am_score": f"{HOUSE}.am_score:AMScore",
    "birthday": f"{HOUSE}.birthday:BirthdayParadox",
    "r_precision": f"{HOUSE}.r_precision:RPrecision",
    "score": f"{HOUSE}.mean_score:MeanScore",
    "cas": f"{HOUSE}.classification:CAS",
    "gan_test": f"{HOUSE}.gan_test:GANTest",
    "boundary_distortion": f"{HOUSE}.boundary_distortion:BoundaryDistortion",
    "adversarial_divergence": f"{HOUSE}.adversarial_divergence:AdversarialDivergence",
    "parzen": f"{HOUSE}.parzen:ParzenLikelihood",
    "fld": f"{HOUSE}.likelihood_divergence:FLD",
    "coverage_adagan": f"{HOUSE}.adagan_coverage:AdaGANCoverage",
    "retrieval": f"{HOUSE}.retrieval:ImageRetrieval",
    "nnaa": f"{HOUSE}.nnaa:NNAA",
    "sliced_wasserstein": f"{HOUSE}.sliced_wasserstein:SlicedWasserstein",
    "mind": f"{HOUSE}.mind:MIND",
    "wasserstein_critic": f"{HOUSE}.critic:WassersteinCritic",
    "c2st": f"{HOUSE}.c2st:C2ST",
    "geometry_score": f"{HOUSE}.geometry:GeometryScore",
}
"""Module and class of each measure of this library, by label, in the order in which reports show them."""
ONE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)


def homes() -> dict[str, str]:
    """Return the module of each class in :data:`MEASURES`, by the name of the class."""
    return {name: module for module, _, name in (where.partition(":") for where in MEASURES.values())}


def known_measures() -> dict[str, type[Measure]]:
    """Return the measures there are, by label; a class of one's own is one once it is imported."""
    return {label: class_of(label) for label in MEASURES} | _of_users()


def labels() -> list[str]:
    """Return the labels of the measures there are; none of this library is imported."""
    return [*MEASURES, *_of_users()]


def find_class(label: str) -> type[Measure] | None:
    """Return the class of a label, of this library or of one's own; None where there is none."""
    return class_of(label) if label in MEASURES else _of_users().get(label)


def measures_of(text: str, parts: Mapping[str, str] | None = None) -> list[Measure]:
    """Return the measures that a comma-separated list names, each with the parameters that are not its defaults.

    A parameter is read as its annotation says: ``gamma=2`` is 2.0, ``sizes=(1,2)`` a tuple, ``capacity=None`` None.

    Args:
        text: the list.
        parts: what digests in it stand for, see :func:`bytes_in`.

    Raises:
        TypeError: where a parameter is of another type.
        ValueError: where a name or a parameter is not known, or the text is no such list.

    Example:
        >>> [measure.describe() for measure in measures_of("fid, kid(subset_size=50,subsets=None,gamma=2),prdc(k=3)")]
        ['fid', 'kid(subsets=None,subset_size=50,gamma=2.0)', 'prdc(k=3)']
    """
    listed = split_outside(text, ",")
    if not listed[-1]:
        listed.pop()
    matches = [ONE.fullmatch(one) for one in listed]
    if None in matches:
        raise ValueError(f"measures: expected a list like 'fid,kid(subset_size=500),prdc(k=3)', got {text!r}.")
    return [_measure(match[1].lower(), match[2] or "", parts or {}) for match in matches if match]


def as_measures(given: object) -> list[Measure]:
    """Return the measures that ``measures=`` stands for: one or several; each a measure, its class or its name.

    Their parameters are of the types that their annotations say: ``KID(gamma=2)`` is ``KID(gamma=2.0)``. A list of
    measures that Hydra has made into nodes of OmegaConf is taken for what they were.

    Raises:
        TypeError: where something else is among them; for a set, whose order differs between ranks.
        ValueError: where there is none, or a name is not known.

    Example:
        >>> from streaming_metrics.measures import FID, PRDC
        >>> [measure.describe() for measure in as_measures([FID, PRDC(k=3), "kid(subset_size=50)"])]
        ['fid', 'prdc(k=3)', 'kid(subset_size=50)']
    """
    given = _without_omegaconf(given)
    several = given.values() if isinstance(given, Mapping) else given
    if isinstance(given, (str, type, Set)) or not isinstance(several, Iterable):
        several = [given]
    found = [measure for one in several for measure in _measures(one)]
    if not found:
        raise ValueError("measures: expected at least one, e.g. [FID()], got none.")
    return found


def parameters_of(cls: type[Measure]) -> list[str]:
    """Return the names of a measure's parameters, without which network it reads."""
    return [f.name for f in fields(cls) if f.repr]


def bytes_in(measures: Iterable[Measure]) -> dict[str, str]:
    """Return the parameters of bytes, in hex, by the digests that :meth:`Measure.describe` gives instead of them."""
    from streaming_metrics.measures.base import digest_of

    values = [getattr(measure, name) for measure in measures for name in parameters_of(type(measure))]
    return {digest_of(value): value.hex() for value in values if isinstance(value, bytes)}


def _measures(one: object) -> list[Measure]:
    from streaming_metrics.measures.base import Measure

    one = _without_omegaconf(one)
    if isinstance(one, Measure):
        return [replace(one, **changed) if (changed := unified(one)) else one]
    if isinstance(one, str):
        return measures_of(one)
    if isinstance(one, type) and issubclass(one, Measure):
        return [_made(one, {})]
    raise TypeError(
        f"measures: expected measures, e.g. [FID(), PRDC(k=3)] or 'fid,prdc(k=3)', got {one!r} among them. "
        "Remedy: a list of them; in a configuration, _target_: streaming_metrics.FID, or its name."
    )


def _without_omegaconf(given: object) -> object:
    """Return what a node of OmegaConf was made of, and all else as it is."""
    if type(given).__module__.partition(".")[0] != "omegaconf":
        return given
    from omegaconf import OmegaConf

    return OmegaConf.to_object(given)


def _of_users() -> dict[str, type[Measure]]:
    """Return the classes, however far below a measure, that have a label of their own and are none of this library."""
    base = sys.modules.get(f"{HOUSE}.base")  # until it is there, nobody has made one
    below = _below(base.Measure) if base else ()
    labelled = {cls.label: cls for cls in below if "label" in vars(cls) and not isabstract(cls)}
    return {label: cls for label, cls in labelled.items() if label not in MEASURES}


def _below(cls: type[Measure]) -> Iterator[type[Measure]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def class_of(label: str) -> type[Measure]:
    """Return the class of a measure of this library."""
    module, _, name = MEASURES[label].partition(":")
    return getattr(import_module(module), name)


def _measure(label: str, arguments: str, parts: Mapping[str, str]) -> Measure:
    if (cls := find_class(label)) is None:
        raise unknown(label, "measure", nearby=labels(), listed=labels())
    given = [part for part in split_outside(arguments, ",") if part.strip()]
    kinds = options_of(cls)
    if not cls.jackknifed:
        return _made(cls, dict(_option(kinds, label, part, parts) for part in given))
    from streaming_metrics.measures.jackknife import OPTIONS, Jackknife

    options = dict(_option(kinds | OPTIONS, label, part, parts) for part in given)
    of_error = {name: options.pop(name) for name in OPTIONS if name in options}
    if of_error.pop("se", False):
        return Jackknife(_made(cls, options), **of_error)
    for name in of_error:
        raise ValueError(f"measures: expected {label}(se=True,{name}=…), got {name} alone. Remedy: se=True.")
    return _made(cls, options)


def _made(cls: type[Measure], options: dict[str, Any]) -> Measure:
    if missing := [name for name in needed_of(cls) if name not in options]:
        given = ", ".join(f"{name}=…" for name in missing)
        raise TypeError(f"measures: expected {cls.label}({given}), got {cls.label} without. Remedy: give {given}.")
    return cls(**options)


def _option(kinds: Mapping[str, Any], label: str, text: str, parts: Mapping[str, str]) -> tuple[str, Any]:
    name, equals, value = (piece.strip() for piece in text.partition("="))
    if not equals:
        raise ValueError(f"measures: expected {label}(parameter=value), got {label}({text}).")
    kind = lookup(kinds, name, f"parameter of {label}")
    if value in parts:
        return name, bytes.fromhex(parts[value])
    try:
        return name, parsed(value, kind)
    except TypeError as error:
        raise TypeError(f"measures: {label}({name}=…): {error}. Remedy: {name}=<{name_of(kind)}>.") from error
