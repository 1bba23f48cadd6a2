"""Explanation words: numbers of an explanation as its table and its page give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Told = Mapping[str, Any]

NONE = "–"


def digits(value: float) -> str:
    """Return a score in five digits.

    Example:
        >>> digits(12.345678), digits(0.0001234)
        ('12.346', '0.0001234')
    """
    return f"{value:.5g}"


def score_in_words(found: Told) -> str:
    """Return the score with its standard error, and what is left of it without the bias of so many samples.

    Example:
        >>> score_in_words({"measure": "fid", "value": 12.5, "error": 0.25, "corrected": None})
        'fid 12.5 ± 0.25 (standard error at this number of samples, given the real side)'
    """
    error = "" if found["error"] is None else f" ± {found['error']:.2g}"
    told = f"{found['measure']} {digits(found['value'])}{error}"
    told += " (standard error at this number of samples, given the real side)" if error else ""
    return told + ("" if found["corrected"] is None else f"; {digits(found['corrected'])} without the bias of so few")


def signed(value: float) -> str:
    """Return a difference of scores with its sign.

    Example:
        >>> signed(0.25), signed(-1.5)
        ('+0.25', '−1.5')
    """
    return f"{value:+.4g}".replace("-", "−")


def claim_cells(rows: Sequence[Told]) -> list[tuple[str, str, str, str]]:
    """Return the cells of a table of protocols by how near they come to a claim: name, value, difference, its share."""
    return [
        (
            one["name"],
            digits(one["value"]),
            signed(one["off"]),
            NONE if one["relative"] is None else f"{one['relative']:+.1%}".replace("-", "−"),
        )
        for one in rows
    ]


def share_in_words(share: float | None) -> str:
    """Return a share of a difference in percent; a dash where there is none."""
    return NONE if share is None else f"{share:.0%}"
