"""Record of a metric: what its signature and its files say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from streaming_metrics.core.layout import ALWAYS, MEASURED
from streaming_metrics.files.npz import UNKNOWN, digest_of_moments
from streaming_metrics.measures.registry import bytes_in
from streaming_metrics.signature import Signature, library_version
from streaming_metrics.statistics import CaptionDigest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streaming_metrics.core.networks import Network
    from streaming_metrics.core.states import States
    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Measure, Side

CAPTIONS = CaptionDigest()


def described(measures: Sequence[Measure], places: Sequence[int], networks: Sequence[Network]) -> list[str]:
    """Return measures as a signature names them: of another network than the first, with its label.

    Args:
        measures: in their order.
        places: of the network that each reads.
        networks: in their order.
    """
    return [m.describe() + (f"@{networks[place].label}" if place else "") for m, place in zip(measures, places)]


def signature_of(
    measures: Sequence[str],
    networks: Sequence[Network],
    states: States,
    totals: Mapping[Role, int],
    captions: str | None = None,
) -> Signature:
    """Return how numbers come about.

    Args:
        measures: as :func:`described` names them.
        networks: in their order.
        states: which tell moments whose number of samples is not known by a digest.
        totals: number of samples of each role.
        captions: digest of the generated samples' captions, where a measure holds them fixed.
    """
    label, resize, precision = (
        _joined([getattr(network, name) for network in networks]) for name in ("label", "resize", "precision")
    )
    counts = {role: n if n < UNKNOWN else _digest(states, role) for role, n in totals.items()}
    others = tuple((role, count) for role, count in counts.items() if role not in ALWAYS)
    real, fake = (counts[role] for role in ALWAYS)
    return Signature(tuple(measures), label, resize, real, fake, precision, library_version(), others, captions or "")


def _joined(facts: Sequence[str]) -> str:
    """Return one fact of each network: once where all have the same, else of each in turn, so that none is ambiguous.

    Example:
        >>> _joined(["fp32", "fp32"]), _joined(["fp32", "bf16", "bf16"])
        ('fp32', 'fp32+bf16+bf16')
    """
    return "+".join(facts if len(set(facts)) > 1 else facts[:1])


def holds_captions(measure: Measure, spec: Spec) -> bool:
    """Return whether a measure holds the captions of generated samples fixed."""
    return CAPTIONS in measure.statistics(spec).get(MEASURED, ())


def captions_of(sides: Iterable[Side]) -> str | None:
    """Return the digest of the generated samples' captions that a side of theirs has; None where none has."""
    states = (side.states.get(CAPTIONS) for side in sides)
    return next((CAPTIONS.read(state) for state in states if state is not None), None)


def about(measures: Sequence[Measure], networks: Sequence[Network], network: int = 0) -> dict[str, Any]:
    """Return what a file says of a metric beside the fingerprint; JSON holds it.

    Args:
        measures: in their order.
        networks: in their order.
        network: the place of the one whose features the file holds.
    """
    record, parts = networks[network].record, bytes_in(measures)
    several = {"networks": {n.name: n.record for n in networks}, "on": [measure.on for measure in measures]}
    said = {"extractor": record, "measures": [measure.describe() for measure in measures]}
    return said | (several if len(networks) > 1 else {}) | ({"parts": parts} if parts else {})


def _digest(states: States, role: Role) -> str:
    kept = [state for slot, state in states.of(role).items() if not slot.statistic.is_optional]
    return digest_of_moments(max((tensor for state in kept for tensor in state.values()), key=Tensor.numel))
