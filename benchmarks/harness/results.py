"""The one form that every benchmark reports in: rows with a reach, the machine's ceilings, and what was checked."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.common import machine, table

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = ["question", "ours", "peer", "ratio", "reach", "", "share of the ceiling, and what else was seen"]


@dataclass(frozen=True)
class Row:
    """One figure, and what it should reach.

    Args:
        question: what is asked.
        ours, peer: the two figures compared, with units.
        ratio: how the first compares with the second, or another figure in ``unit``.
        reach: what ``ratio`` should be: at least, or ``at_most``.
        unit: ``"×"``, ``"%"`` (of a share in [0, 1]), ``"GB"`` or ``""``.
        note: share of the machine's ceiling, and what else was seen.
        struck: why it cannot be reached, with the experiment that shows the limit; it then is not short.
    """

    question: str
    ours: str
    peer: str
    ratio: float
    reach: float
    at_most: bool = False
    unit: str = "×"
    note: str = ""
    struck: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is where it should be."""
        return self.ratio <= self.reach if self.at_most else self.ratio >= self.reach

    @property
    def verdict(self) -> str:
        """What a table says of :attr:`reached`."""
        return "reached" if self.reached else "struck" if self.struck else "SHORT"

    def cells(self) -> list[str]:
        """Return the row as a table shows it."""
        reach = f"{'≤' if self.at_most else '≥'} {shown(self.reach, self.unit)}"
        return [self.question, self.ours, self.peer, shown(self.ratio, self.unit), reach, self.verdict, self.note]


@dataclass
class Result:
    """What a benchmark found.

    Args:
        rows: its figures.
        ceilings: the machine's rates, in GFLOP/s, for ``copy`` in GB/s, measured in turn with the rows.
        checks: how far results were apart, and how far they may be.
        notes: what else it says.
    """

    rows: list[Row] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def agree(self, what: str, ours: Any, theirs: Any, tolerance: float, *, relative: bool = True) -> None:
        """Raise AssertionError unless two results are within ``tolerance`` of each other, by their norms."""
        ours, theirs = (torch.as_tensor(value).double().cpu() for value in (ours, theirs))
        apart = float((ours - theirs).norm() / (theirs.norm() if relative else 1))
        kind = "relative" if relative else "absolute"
        line = f"{what}: {apart:.1e} apart, {kind}, at most {tolerance:.0e} allowed"
        if not apart <= tolerance:
            raise AssertionError(line)
        self.checks.append(line)


def shown(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    if unit == "%":
        return f"{value * 100:.3g} %"
    return f"{value:.3g}{'' if unit in '×' else ' '}{unit}"


def rate(name: str, value: float) -> str:
    """Return a ceiling with its unit."""
    return f"{name} {value:.0f} {'GB/s' if name == 'copy' else 'GFLOP/s'}"


def seconds(value: float) -> str:
    """Return a duration."""
    return f"{value:.3g} s"


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Return a script's parser, with what all of them take."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the result here")
    return parser


def finish(result: Result, doc: str | None, path: Path | None) -> None:
    """Print a result, and write it where asked."""
    print(machine())
    print(table(HEAD, [row.cells() for row in result.rows]))
    if result.ceilings:
        print("ceilings: " + ", ".join(rate(*ceiling) for ceiling in result.ceilings.items()))
    for line in [*reasons(result.rows), *result.checks, *result.notes]:
        print(line)
    if path is not None:
        path.write_text(json.dumps({"how": doc, **asdict(result)}, indent=1))


def read(path: Path) -> tuple[str, Result]:
    """Return what :func:`finish` wrote: the script's docstring, and its result."""
    content = json.loads(path.read_text())
    return content.pop("how"), Result(**content | {"rows": [Row(**row) for row in content["rows"]]})


def reasons(rows: Iterable[Row]) -> list[str]:
    """Return a line for each row that is struck: why its reach cannot be had."""
    return [f"struck: {row.question}: {row.struck}" for row in rows if row.verdict == "struck"]


def tally(rows: Iterable[Row]) -> str:
    """Return how many rows reach, are short and are struck, in words.

    Example:
        >>> tally([Row("fast?", "1 s", "3 s", 3.0, 2.0)])
        '1 of 1 rows reached, 0 short'
    """
    verdicts = [row.verdict for row in rows]
    struck = f", {verdicts.count('struck')} struck" if "struck" in verdicts else ""
    return f"{verdicts.count('reached')} of {len(verdicts)} rows reached, {verdicts.count('SHORT')} short{struck}"
