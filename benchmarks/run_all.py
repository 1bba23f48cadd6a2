"""Runs every benchmark, one after the other, and writes benchmarks/RESULTS.md and a chart: ``make bench``.

    python benchmarks/run_all.py [--large] [--only fid kid] [--answers FOLDER]

Each runs alone, in a process of its own; ``--large`` is for those that take it. Answers are kept in a
folder where one is given, and those that it holds are not asked for again: a run that was disturbed is mended by
removing one. Exits with 1 where a script failed; rows that fall short are marked, and are no failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch
from harness.chart import draw
from harness.common import machine
from harness.page import markdown as as_table
from harness.results import HEAD, Result, rate, read, reasons, tally

HERE = Path(__file__).parent
SCRIPTS = [
    "inception",
    "epoch",
    "fid",
    "kid",
    "precision_recall",
    "many",
    "sync",
    "update",
    "growth",
    "startup",
    "folder",
]
TAKE_LARGE = ["precision_recall", "many"]
PACKAGES = ["torch", "torchvision", "numpy", "scipy", "torchmetrics", "torch-fidelity", "pytorch-fid", "prdc"]
TABLE, CHART = HERE / "RESULTS.md", HERE / "pictures" / "speed.png"


def run(script: str, folder: Path, *arguments: str) -> tuple[str, Result] | None:
    """Return a script's docstring and result; None where it failed."""
    answer = folder / f"{script}.json"
    if answer.exists():
        return read(answer)
    command = [sys.executable, str(HERE / f"{script}.py"), "--json", str(answer), *arguments]
    failed = subprocess.run(command, check=False).returncode
    return None if failed or not answer.exists() else read(answer)


def markdown(answers: dict[str, tuple[str, Result]], failed: list[str]) -> str:
    """Return the report."""
    rows = [row for _, result in answers.values() for row in result.rows]
    lines = [
        "# How fast it is",
        "",
        f"{machine()}, {torch.get_num_threads()} threads. {datetime.now(timezone.utc):%Y-%m-%d}. "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + ".",
        "",
        f"`make bench` wrote this: {tally(rows)}. Candidates take turns in one process on the same inputs, and their "
        "results must agree; figures are medians.",
        "",
        f"![Ratios to the peers](pictures/{CHART.name})",
        "",
        as_table(HEAD, [row.cells() for row in rows]).replace("| SHORT |", "| **SHORT** |"),
        *[f"\n{reason[0].upper()}{reason[1:]}" for reason in reasons(rows)],
        *[f"\n`benchmarks/{name}.py` **failed**: no figures." for name in failed],
        "",
        "## How each is taken",
    ]
    for name, (how, result) in answers.items():
        lines += ["", f"### `benchmarks/{name}.py`", "", how.strip(), ""]
        if result.ceilings:
            ceilings = ", ".join(rate(*ceiling) for ceiling in result.ceilings.items())
            lines += [f"Ceilings of the machine, measured in turn with it: {ceilings}.", ""]
        lines += ["```", *result.checks, *result.notes, "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only", nargs="+", default=SCRIPTS, choices=SCRIPTS)
    parser.add_argument("--answers", type=Path)
    options = parser.parse_args()
    answers, failed = {}, []
    with tempfile.TemporaryDirectory() if options.answers is None else nullcontext(options.answers) as folder:
        for script in options.only:
            print(f"\n{script}", flush=True)
            arguments = ["--large"] if options.large and script in TAKE_LARGE else []
            answer = run(script, Path(folder), *arguments)
            if answer is None:
                failed.append(script)
            else:
                answers[script] = answer
    TABLE.write_text(markdown(answers, failed))
    draw([row for _, result in answers.values() for row in result.rows], CHART)
    print(f"wrote {TABLE} and {CHART}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
