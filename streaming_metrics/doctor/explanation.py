"""Explanation: all that the doctor says of two sides, as plain values that JSON holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from streaming_metrics.doctor.checks import findings
from streaming_metrics.doctor.facts import Facts
from streaming_metrics.doctor.protocols import HALF
from streaming_metrics.doctor.settings import FILE
from streaming_metrics.doctor.waterfall import Waterfall
from streaming_metrics.extractors.inception import InceptionV3
from streaming_metrics.files.npz import UNKNOWN
from streaming_metrics.signature import Signature, library_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.doctor.examination import Examination
    from streaming_metrics.doctor.protocols import Protocol
    from streaming_metrics.doctor.settings import Setting

KIND = "streaming-metrics explanation 1"
ROUNDING = 1e-6
"""Share of a value by which two ways of float32 to the same features may differ."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the doctor beside the images.

    Args:
        first, last: protocols to go between; None takes the lowest and the highest value, or where there is a claim the
            first protocol and the one nearest to the claim.
        claim: a value that somebody reports; None for none.
    """

    first: str | None = None
    last: str | None = None
    claim: float | None = None

    def check(self, protocols: Sequence[Protocol]) -> None:
        """Raise ValueError where it names a protocol that there is not, or a claim that no distance can be."""
        from streaming_metrics.extractors.names import lookup

        for name in (self.first, self.last):
            if name is not None:
                lookup({protocol.name: protocol for protocol in protocols}, name, "protocol")
        if self.claim is not None and not (isfinite(self.claim) and self.claim >= 0):
            raise ValueError(f"--claim: expected a distance, 0 or more, got {self.claim:g}. Remedy: --claim 18.3.")


@dataclass(frozen=True)
class Valued:
    """A protocol with its value."""

    protocol: Protocol
    value: float


def facts_of(
    seen: Examination, protocols: Sequence[Protocol], real: Mapping[str, int], fake: Mapping[str, int]
) -> Facts:
    """Return the facts that checks look at.

    Args:
        seen: both sides, all images read.
        protocols: the first gives the score.
        real, fake: images of each side by class, empty where classes are not known.
    """
    base, network = protocols[0].setting, seen.networks[seen.base]
    half = next((protocol.setting for protocol in protocols if protocol.name == HALF), None)
    meant = next((protocol.setting for protocol in protocols if protocol.setting.reference == FILE), base)
    error, corrected, _ = seen.estimate()
    return Facts(
        seen.side("real", real),
        seen.side("fake", fake),
        network.spec.num_features or 0,
        seen.value(base),
        None if half is None else seen.value(half),
        error if isfinite(error) else None,
        corrected if isfinite(corrected) else None,
        seen.halves(),
        network,
        bool(network.published) if isinstance(network, InceptionV3) else None,
        seen.reference(meant),
    )


def explained(seen: Examination, protocols: Sequence[Protocol], facts: Facts, asked: Asked) -> dict[str, Any]:
    """Return protocols with their values, the waterfall, the claim and the findings, as JSON holds them.

    Args:
        seen: both sides.
        protocols: the first is the one that checks look at.
        facts: of both sides.
        asked: which protocols to go between, and a claim.
    """
    valued = [Valued(protocol, seen.value(protocol.setting)) for protocol in protocols]
    network = seen.networks[seen.base]
    first, last = ends_of(valued, asked)
    return {
        "kind": KIND,
        "version": library_version(),
        "measure": "fid" if "pool" in network.published else f"fd_{network.tag}",
        "extractor": network.label,
        "value": facts.value,
        "error": facts.error,
        "corrected": facts.corrected,
        "protocols": [told_of(one, seen) for one in valued],
        "waterfall": asdict(Waterfall.between(first, last, seen.value)),
        "claim": None if asked.claim is None else ranked(valued, asked.claim),
        "checks": [
            {"name": check.name, "looks_for": check.looks_for, **asdict(found), "numbers": _finite(found.numbers)}
            for check, found in findings(facts).items()
        ],
    }


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON holds them; one that is not finite is null."""
    return {name: value if isfinite(value) else None for name, value in numbers.items()}


def ends_of(valued: Sequence[Valued], asked: Asked) -> tuple[Protocol, Protocol]:
    """Return the protocols to go between: those that are asked for, else those furthest apart that anybody uses, or of
    a claim the first and the nearest to it.
    """
    by_name = {one.protocol.name: one.protocol for one in valued}
    is_of_tools = len({one.protocol.setting.resize for one in valued}) > 1  # and not of samples alone
    used = [one for one in valued if one.protocol.name != HALF or not is_of_tools]
    lowest, highest = (_first_at(pick(one.value for one in used), used) for pick in (min, max))
    if asked.claim is not None:
        lowest, highest = valued[0].protocol, by_name[ranked(valued, asked.claim)[0]["name"]]
    return by_name[asked.first] if asked.first else lowest, by_name[asked.last] if asked.last else highest


def _first_at(value: float, valued: Sequence[Valued]) -> Protocol:
    """Return the first protocol of a value, up to rounding, which must not decide what is told apart."""
    return next(one.protocol for one in valued if abs(one.value - value) <= ROUNDING * abs(value))


def ranked(valued: Sequence[Valued], claim: float) -> list[dict[str, Any]]:
    """Return the protocols by how near they come to a claimed value, absolute and as a share of it."""
    rows = [
        {
            "name": one.protocol.name,
            "value": one.value,
            "off": one.value - claim,
            "relative": (one.value - claim) / claim if claim else None,
        }
        for one in valued
    ]
    return sorted(rows, key=lambda row: abs(row["off"]))


def told_of(one: Valued, seen: Examination) -> dict[str, Any]:
    """Return a protocol with its value, all that it decides, and its signature."""
    setting, counts = one.protocol.setting, seen.counts(one.protocol.setting)
    return {
        "name": one.protocol.name,
        "value": one.value,
        "about": one.protocol.about,
        **asdict(setting),
        "num_samples": counts[1],
        "signature": signature_of(setting, seen),
    }


def signature_of(setting: Setting, seen: Examination) -> str:
    """Return how a value comes about, in a line; what signatures of other commands cannot say is of the measure."""
    network = seen.networks[setting.resize, setting.precision]
    beside = {"quantisation": "rounded", "reference": "images", "ddof": 1}
    changed = [f"{name}={getattr(setting, name)}" for name, usual in beside.items() if getattr(setting, name) != usual]
    measure = "fid" + (f"({','.join(changed)})" if changed else "")
    real, fake = seen.counts(setting)
    known = real if real < UNKNOWN else seen.digest_of_file()
    return str(Signature((measure,), network.label, network.resize, known, fake, network.precision, library_version()))
