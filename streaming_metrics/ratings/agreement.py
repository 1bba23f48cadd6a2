"""Agreement: Krippendorff's α of raters, by the package ``krippendorff``, with an interval over what was judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.ratings.estimate import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.judgements import Judgements

LEVELS = {"preference": "nominal", "opinion": "ordinal", "alignment": "ordinal", "categorisation": "nominal"}
DRAWS = 300


@dataclass(frozen=True)
class Agreement:
    """Agreement of raters.

    Args:
        alpha: 1 is full agreement, 0 is chance; NaN where it cannot be told.
        level: of measurement: answers are ``"nominal"`` or ``"ordinal"``.
        units: items, or pairs of them, that two raters or more have judged.
        alone: units that one rater judged, which tell nothing of agreement.
        note: why it cannot be told; empty where it can.
    """

    alpha: Estimate
    level: str
    units: int
    alone: int
    note: str = ""


def agreement(judgements: Judgements, confidence: float = 0.95, seed: int = 0) -> Agreement:
    """Return Krippendorff's α of judgements of one kind, with an interval by bootstrap over units.

    A unit is an item (of a categorisation at one exposure) or a pair of items, whichever side they were on. Opinions
    and alignments are ordinal, preferences and categorisations nominal. Range (−∞, 1].

    Args:
        judgements: of one kind; attention checks do not count.
        confidence: of the interval.
        seed: of the draws.

    Raises:
        ModuleNotFoundError: without the package, naming the extra that brings it.
    """
    rows = [row for row in judgements if not row.is_check]
    kind = rows[0].kind if rows else "opinion"
    table, alone = _table(rows)
    counted, level = (len(rows), len({row.rater for row in rows})), LEVELS[kind]
    if len(table) < 2 or (table.sum(0) > 0).sum() < 2:
        few = "no two units were judged by two raters" if len(table) < 2 else "all answers are the same"
        return Agreement(Estimate(nan, nan, nan, *counted, confidence), level, len(table), alone, few)
    alpha, rng = _alpha(level), np.random.default_rng(seed)
    drawn = [alpha(table[rng.integers(0, len(table), len(table))]) for _ in range(DRAWS)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = (float(end) for end in np.nanquantile(drawn, tails))
    value = alpha(table)
    return Agreement(Estimate(value, min(low, value), max(high, value), *counted, confidence), level, len(table), alone)


def _alpha(level: str) -> Callable[[NDArray[Any]], float]:
    try:
        import krippendorff
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Agreement needs the package krippendorff, which is not installed. Remedy: pip install "
            "'streaming-metrics[study]'."
        ) from error

    def alpha(table: NDArray[Any]) -> float:
        table = table[:, table.sum(0) > 0]
        if table.shape[1] < 2:  # a draw in which all answers are the same
            return nan
        return float(krippendorff.alpha(value_counts=table, level_of_measurement=level))  # pyright: ignore

    return alpha


def _table(rows: Iterable[Judgement]) -> tuple[NDArray[np.int64], int]:
    """Return how often each answer was given, ``(units, answers)``, and how many units one rater alone judged."""
    answers: dict[Any, Counter[float]] = defaultdict(Counter)
    for row in rows:
        answers[(*sorted(row.items), row.exposure_ms)][_answer(row)] += 1
    values = sorted({value for of in answers.values() for value in of})
    several = [of for of in answers.values() if of.total() > 1]
    table = np.array([[of[value] for value in values] for of in several], dtype=np.int64).reshape(-1, len(values))
    return table, len(answers) - len(several)


def _answer(row: Judgement) -> float:
    """Return the answer; of a pair, as that of its items sees it that comes first by name."""
    is_swapped = len(row.items) == 2 and row.items[0] > row.items[1]
    return 1 - row.answer if is_swapped else row.answer
