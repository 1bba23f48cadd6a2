"""Agreement: Krippendorff's α of raters, by the package ``krippendorff``, with an interval over what was judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.judgement import of_one_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    A unit is an item (of a categorisation at one exposure) or a pair of items, whichever side they were on. Of what a
    rater judged twice the first answer counts: nobody agrees with oneself. A pair counts as seen from either of
    its items, so that names of conditions do not matter, and that all prefer one is agreement. Opinions and alignments
    are ordinal, preferences and categorisations nominal. Range (−∞, 1].

    Args:
        judgements: of one kind; attention checks do not count.
        confidence: of the interval.
        seed: of the draws.

    Raises:
        ModuleNotFoundError: without the package, naming the extra that brings it.
    """
    rows = of_one_task("agreement", judgements)
    kind = rows[0].kind if rows else "opinion"
    tables, alone = _table(rows)  # a pair's from either side, drawn together
    table = np.concatenate(list(tables))
    counted, level = (len(rows), len({row.rater for row in rows})), LEVELS[kind]
    units = tables.shape[1]
    if units < 2 or (table.sum(0) > 0).sum() < 2:
        few = "no two units were judged by two raters" if units < 2 else "all answers are the same"
        return Agreement(Estimate(nan, nan, nan, *counted, confidence), level, units, alone, few)
    alpha, rng = _alpha(level), np.random.default_rng(seed)
    drawn = [alpha(np.concatenate(list(tables[:, rng.integers(0, units, units)]))) for _ in range(DRAWS)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = (float(end) for end in np.nanquantile(drawn, tails))
    value = alpha(table)
    return Agreement(Estimate(value, min(low, value), max(high, value), *counted, confidence), level, units, alone)


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


def _table(rows: Sequence[Judgement]) -> tuple[NDArray[np.int64], int]:
    """Return how often each answer was given, ``(sides, units, answers)``, and how many units one rater alone judged.

    The units' order is that of their names, whichever row came first: the bootstrap draws from it.
    """
    answers: dict[Any, Counter[float]] = defaultdict(Counter)
    firsts: dict[Any, Judgement] = {}
    for row in sorted(rows, key=lambda row: row.trial):
        firsts.setdefault((*sorted(row.items), row.exposure_ms, row.rater), row)
    for (*unit, _), row in firsts.items():
        answers[tuple(unit)][_answer(row)] += 1
    is_paired = any(len(row.items) == 2 for row in rows)
    values = sorted({value for of in answers.values() for value in of} | ({0.0, 0.5, 1.0} if is_paired else set()))
    several = [answers[unit] for unit in sorted(answers, key=str) if answers[unit].total() > 1]
    table = np.array([[of[value] for value in values] for of in several], dtype=np.int64).reshape(-1, len(values))
    return np.stack([table, table[:, ::-1]] if is_paired else [table]), len(answers) - len(several)


def _answer(row: Judgement) -> float:
    """Return the answer; of a pair, as that of its items sees it that comes first by name."""
    is_swapped = len(row.items) == 2 and row.items[0] > row.items[1]
    return 1 - row.answer if is_swapped else row.answer
