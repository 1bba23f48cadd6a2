"""Values of the map of sensitivity as JSON: z of every measure, value and corruption, which the site draws."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.heatmap import Line

REFUSED = "refused"
DIGITS = 4


def write_values(
    path: Path,
    about: Mapping[str, Any],
    columns: Sequence[tuple[str, Sequence[str]]],
    lines: Mapping[str, Sequence[Line]],
    left_out: Mapping[str, str],
) -> None:
    """Write the file.

    Args:
        path: of the file.
        about: which images, how many, and where it ran.
        columns: each corruption with its strengths.
        lines: by the label of a measure, its rows of the map.
        left_out: by the label of a measure that is not on the map, why.
    """
    measures = {label: {line.name: [_cell(z) for z in line.cells] for line in of} for label, of in lines.items()}
    data = {**about, "columns": columns, "left_out": left_out, "measures": measures}
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in data.items())
    path.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


def _cell(z: float | None) -> float | str | None:
    """Return a score to a few digits, as JSON has it: NaN, which it lacks, is a refusal."""
    if z is None or math.isnan(z):
        return None if z is None else REFUSED
    return float(f"{z:.{DIGITS}g}")
