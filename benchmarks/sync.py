"""What does computing over ranks cost? FID of two 2048-wide sides, beside torchmetrics, in one run, taking turns.

    python benchmarks/sync.py --ranks 2 4 --repeats 15

Prints, per rank: bytes of the tensors handed to collectives, to send and to receive into (an all-reduce's tensor is
both); bytes of tensors alive at once beyond the states; seconds. The means over all ranks must agree to 1e-6.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.distributed as dist
from harness.common import MIB, on_ranks, table
from harness.results import Result, Row, finish, parser_of
from harness.results import seconds as shown
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from live_bytes import LiveBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REACH, TOLERANCE = 6.0, 1e-6
WIDTH, BATCH = 2048, 16
SIDES = "real", "fake"
HANDED: dict[str, Callable[..., list[Tensor]]] = {
    "all_reduce": lambda tensor, *_: [tensor],
    "all_gather": lambda received, sent, *_: [*received, sent],
    "batch_isend_irecv": lambda transfers: [transfer.tensor for transfer in transfers],
}
OURS, THEIRS = "streaming_metrics", "torchmetrics"


class Identity(nn.Module):
    """Features that are given as they are; torchmetrics asks for the width, and shows a blank image first."""

    num_features = WIDTH

    def forward(self, features: Tensor) -> Tensor:
        return features if features.ndim == 2 else torch.zeros(len(features), WIDTH)


class Payload:
    """Adds up the bytes that this rank hands to collectives."""

    def __enter__(self) -> Payload:
        self.total = 0
        self._patches = [mock.patch.object(dist, name, self._counted(name)) for name in HANDED]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()

    def _counted(self, name: str) -> Callable[..., Any]:
        original = getattr(dist, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.total += sum(tensor.nbytes for tensor in HANDED[name](*args))
            return original(*args, **kwargs)

        return counted


def ours(rank: int, **options: Any) -> Callable[[], Any]:
    from streaming_metrics import FID, GenerativeMetrics
    from streaming_metrics.statistics import Moments

    metric, moments = (
        fed(GenerativeMetrics([FID()], extractor=None, num_features=WIDTH, **options), rank),
        Moments(WIDTH),
    )

    def sync() -> list[Tensor]:
        sides = metric._sides(metric._gather_ranks())[0]
        return [moments.mean(sides[role][moments]) for role in SIDES]

    return sync


def theirs(rank: int, **options: Any) -> Callable[[], Any]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = fed(FrechetInceptionDistance(feature=Identity(), **options).set_dtype(torch.float64), rank)

    def sync() -> list[Tensor]:
        metric.sync()
        sides = [(getattr(metric, f"{s}_features_sum"), getattr(metric, f"{s}_features_num_samples")) for s in SIDES]
        metric.unsync()
        return [total / n for total, n in sides]

    return sync


def fed(metric: Any, rank: int) -> Any:
    generator = torch.Generator().manual_seed(rank)
    for real in (True, False):
        metric.update(torch.randn(BATCH, WIDTH, generator=generator), real=real)
    return metric


def measure(rank: int, repeats: int, **options: Any) -> tuple[float, dict[str, tuple[int, int, float]]]:
    """Return how far the means are apart; bytes handed over, bytes alive and median seconds of each, on one rank."""
    warnings.simplefilter("ignore")
    syncs = {OURS: ours(rank, **options), THEIRS: theirs(rank, **options)}
    spent, means, seconds = {}, {}, {name: [] for name in syncs}
    for name, sync in syncs.items():
        with Payload() as payload, LiveBytes() as live:
            means[name] = torch.cat(sync())
        spent[name] = payload.total, live.peak
    for _ in range(repeats):
        for name, sync in syncs.items():
            dist.barrier(options.get("process_group"))
            start = time.perf_counter()
            sync()
            seconds[name].append(time.perf_counter() - start)
    apart = float((means[OURS] - means[THEIRS]).norm() / means[THEIRS].norm())
    return apart, {name: (*spent[name], median(seconds[name])) for name in syncs}


def bench(ranks: Sequence[int], repeats: int, on_ranks: Callable[..., list[Any]] = on_ranks) -> Result:
    """Return one row, of the most ranks, and a table of all."""
    result, lines = Result(), []
    for world_size in ranks:
        apart, everyone = zip(*on_ranks(world_size, measure, repeats))
        result.agree(f"means on {world_size} ranks", max(apart), 0.0, TOLERANCE, relative=False)
        worst = {name: [max(figures) for figures in zip(*(rank[name] for rank in everyone))] for name in (OURS, THEIRS)}
        for name, (handed, alive, seconds) in worst.items():
            lines.append([world_size, name, handed / MIB, alive / MIB, seconds])
        lines.append([world_size, "ratio", *(b / a for a, b in zip(worst[OURS], worst[THEIRS]))])
    (*_, mine), (*_, others) = worst[OURS], worst[THEIRS]
    question = f"sync of two {WIDTH}-wide sides, {world_size} gloo ranks"
    note = f"{lines[-1][2]:.2g} times fewer bytes to collectives, {lines[-1][3]:.2g} times fewer alive"
    result.rows = [Row(question, shown(mine), f"{shown(others)}, torchmetrics", others / mine, REACH, note=note)]
    result.notes = [
        f"Two sides of {WIDTH} features over gloo, one thread a rank; the worst rank, median of {repeats}",
        table(["ranks", "library", "MiB to collectives", "MiB alive beyond states", "seconds"], lines),
    ]
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    finish(bench(options.ranks, options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
