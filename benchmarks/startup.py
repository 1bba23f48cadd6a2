"""How long does the command line take to start, and ``import streaming_metrics``? Beside ``import torchmetrics``.

    python benchmarks/startup.py --repeats 5

Every figure is of processes of their own, in turn: seconds of processor time (user and system), and the most memory
that was resident. Commands that list, show or explain themselves need no PyTorch: the slowest and the largest of them
are the rows. ``import streaming_metrics`` brings names alone; with its metric and FID it brings torchmetrics too, which
is most of what that takes.
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

from harness.common import MIB
from harness.processes import spent
from harness.results import Result, Row, finish, parser_of, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.processes import Spent

SIGNATURE = "fid|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0"
COMMANDS = {
    name: [sys.executable, "-m", "streaming_metrics", *name.replace("SIGNATURE", SIGNATURE).split()]
    for name in (
        *("--help", "compare --help", "measures", "measures fid", "measures --json", "extractors"),
        *("show SIGNATURE", "diff SIGNATURE SIGNATURE", "compare --measures fid"),
    )
}
REFUSED = {"compare --measures fid": 2}
"""What is no whole command, and its exit code."""
NOTHING, NAMES, PEER, METRIC, PEER_METRIC = (
    "pass",
    "import streaming_metrics",
    "import torchmetrics",
    "from streaming_metrics import FID, GenerativeMetrics",
    "from torchmetrics.image.fid import FrechetInceptionDistance",
)
MOST_SECONDS, MOST_MB = 0.5, 60


def bench(commands: Mapping[str, Sequence[str]], imports: Sequence[str], repeats: int) -> Result:
    """Return rows of commands, and of what is imported: names and their peer, then metrics and theirs."""
    runs = {**commands, **{code: [sys.executable, "-c", code] for code in (NOTHING, *imports)}}
    taken: dict[str, list[Spent]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, command in runs.items():
            taken[name].append(spent(command))
    result = Result()
    for name, turns in taken.items():
        expected = REFUSED.get(name, 0)
        assert {one.code for one in turns} == {expected}, turns[0].out
        result.checks.append(f"{name}: {_cpu(turns):.2f} s, {_mb(turns):.0f} MB, exit code {expected}")
    result.rows = [*_of_commands({name: taken[name] for name in commands}, taken[NOTHING])]
    for ours, peer in zip(imports[::2], imports[1::2]):
        figures = seconds(_cpu(taken[ours])), f"{seconds(_cpu(taken[peer]))}, {peer}"
        ratio = _cpu(taken[ours]) / _cpu(taken[peer])
        result.rows.append(Row(f"`{ours}`", *figures, ratio, 1.0 if ours == NAMES else 1.1, at_most=True))
    return result


def _of_commands(taken: Mapping[str, Sequence[Spent]], nothing: Sequence[Spent]) -> list[Row]:
    slow, large = max(taken, key=lambda name: _cpu(taken[name])), max(taken, key=lambda name: _mb(taken[name]))
    cpu, megabytes = _cpu(taken[slow]), _mb(taken[large])
    peer = f"{seconds(_cpu(nothing))}, python alone", f"{_mb(nothing):.0f} MB, python alone"
    question = "of commands without images"
    return [
        Row(f"the slowest {question}", seconds(cpu), peer[0], cpu, MOST_SECONDS, at_most=True, unit="s", note=slow),
        Row(f"the largest {question}", f"{megabytes:.0f} MB", peer[1], megabytes, MOST_MB, True, "MB", large),
    ]


def _cpu(turns: Sequence[Spent]) -> float:
    return statistics.median(one.cpu for one in turns)


def _mb(turns: Sequence[Spent]) -> float:
    return max(one.resident for one in turns) / MIB


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    finish(bench(COMMANDS, [NAMES, PEER, METRIC, PEER_METRIC], options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
