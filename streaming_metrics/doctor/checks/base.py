"""Finding: what one check says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming_metrics.doctor.facts import Facts

Verdict: TypeAlias = Literal["fault", "fine", "cannot tell"]


@dataclass(frozen=True)
class Finding:
    """Finding of a check.

    Args:
        verdict: ``"fault"``, ``"fine"``, or ``"cannot tell"`` where the check lacks what it needs.
        sentence: with the numbers that it rests on.
        remedy: of a fault, and of what the check lacks.
        numbers: the same, by name.
    """

    verdict: Verdict
    sentence: str
    remedy: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """Check: a name, what it looks for, and how.

    Args:
        name: of the fault.
        looks_for: in words.
        look: from facts to the finding.
    """

    name: str
    looks_for: str
    look: Callable[[Facts], Finding]


def number(value: float) -> str:
    """Return a number in three digits.

    Example:
        >>> number(1234.5), number(0.04567), number(0)
        ('1,234', '0.0457', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
