"""Checkpoints of one training, each scored by images drawn from it: one table, one file, one page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.cli.drawing import sampler_at
from streaming_metrics.cli.outputs import STDOUT, refuse_overwriting
from streaming_metrics.cli.plan import Plan
from streaming_metrics.cli.scored_before import identities, kept_results
from streaming_metrics.cli.several import Wanted, contests_of, publish, table_of
from streaming_metrics.cli.several_results import SeveralResults, names_of
from streaming_metrics.cli.side_by_side import side_by_side
from streaming_metrics.images.generated import Drawing, Generated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming_metrics.cli.results import Result
    from streaming_metrics.cli.scoring import Comparison, Job
    from streaming_metrics.report.history import History

ENDINGS = (".ckpt", ".pt", ".pth", ".safetensors", ".bin", ".pkl")
"""Endings of checkpoints, which tell nothing apart in a table."""


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints to score.

    Args:
        pattern: of their paths, as ``glob`` takes it; ``**`` is any folder.
        sampler: ``package.module:function``; see :class:`~streaming_metrics.images.generated.Generated`.
        how: how many images of each, and by which seeds.
    """

    pattern: str
    sampler: str
    how: Drawing = field(default_factory=Drawing)

    def found(self) -> list[str]:
        """Return their paths in the order of the numbers in them.

        Raises:
            FileNotFoundError: where there are none.
        """
        paths = sorted(glob(self.pattern, recursive=True), key=natural)  # noqa: PTH207 (a pattern may be absolute)
        if not paths:
            raise FileNotFoundError(
                f"--checkpoints: expected files or folders like {self.pattern!r}, found none. Remedy: the pattern in "
                "quotes, so that the shell leaves it as it is."
            )
        return paths


def natural(path: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts paths by the numbers in them.

    Example:
        >>> sorted(["epoch=10.ckpt", "last.ckpt", "epoch=9.ckpt"], key=natural)
        ['epoch=9.ckpt', 'epoch=10.ckpt', 'last.ckpt']
    """
    parts = re.split(r"(\d+)", path)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts if part]


def score_checkpoints(
    job: Job, real: str, checkpoints: Checkpoints, wanted: Wanted, tell: Callable[[str], None]
) -> None:
    """Score checkpoints against one real side, which is read once, and tell it; collective.

    Each is written to the file of ``wanted.json`` as soon as it is scored; those that are in there, and were scored in
    the same way, are not scored again.

    Raises:
        ValueError: once the scores are told, where some checkpoints are left out, or cannot be compared.
        NotEnoughSamples: at the end, where there are too few samples for a measure.
    """
    paths: list[str] = json.loads(job.comm.rendezvous(json.dumps(checkpoints.found()))[0])
    refuse_overwriting((wanted.json, wanted.report), paths)
    function, lost = sampler_at(checkpoints.sampler), {}
    named = dict(zip(names_of([_bare(path) for path in paths]), paths))
    takes = "images" if job._window(real) is None else "clips"
    how = replace(checkpoints.how, device=job.network.found_device(), takes=takes)
    identity = identities(job, real, checkpoints.sampler, how, named)
    before = kept_results(job, wanted.json, identity)
    drawn = {name: Generated(path, function, how) for name, path in named.items() if name not in before}
    job._say([f"scored before, in {wanted.json}: {', '.join(before)}"] if before else [])
    results, picture = dict(before), None
    for name, one in side_by_side(job, real, drawn, lost=lost) if drawn else ():
        results[name] = replace(one.result, ids=identity[name].ids(one.result.ids))
        if wanted.report is not None and name == [*named][-1]:
            picture = _picture(one)
        drawn[name].release()
        _save(job, wanted.json, _in_order(results, named), lost)
    _conclude(job, _in_order(results, named), lost, picture, wanted, tell)


def _conclude(
    job: Job,
    results: Mapping[str, Result],
    lost: Mapping[str, str],
    picture: History | None,
    wanted: Wanted,
    tell: Callable[[str], None],
) -> None:
    """Tell all results, and raise what is wrong with them; collective."""
    if not results:
        raise ValueError(_told(lost, "no checkpoint is scored"))
    found, refused = contests_of(results, wanted)
    if job.comm.rank == 0:
        publish(SeveralResults(results, [one.plain() for one in found], lost), found, wanted, tell, by_rows=True)
    if wanted.report is not None:
        from streaming_metrics.report import write_report

        path, sides = wanted.report, table_of(results, found)
        title = "Checkpoints against real images"
        history = history_of(results, picture, lost)
        job.comm.on_first(lambda: write_report(path, [history], title, tables=[sides]), f"report {path}")
    if refused:
        raise refused
    if lost:
        raise ValueError(_told(lost, f"{len(lost)} of {len(lost) + len(results)} checkpoints are left out"))
    Plan(
        [], {f"{name}: {what}": why for name, one in results.items() for what, why in one.unscored.items()}
    ).refuse_some()


def history_of(results: Mapping[str, Result], picture: History | None, lost: Mapping[str, str]) -> History:
    """Return results as a training's history, with the pictures of the last one.

    Args:
        results: in their order.
        picture: of the last one; None where it was scored before.
        lost: checkpoints that are left out, and why.
    """
    from streaming_metrics.report.history import History

    history = picture or History("checkpoints")
    history.epochs, history.steps, history.rows = [], [], []
    for (epoch, step), one in zip(moments(list(results)), results.values()):
        history.add(epoch, one.scores, one.signature, step)
    history.about = [*list(results.values())[-1].about, *(("left out", f"{name}: {why}") for name, why in lost.items())]
    return history


def moments(names: Sequence[str]) -> list[tuple[int, int | None]]:
    """Return an epoch of each name, and a step where all have one; places where names do not say, or not in order.

    Example:
        >>> moments(["epoch=2-step=30", "epoch=10-step=150"]), moments(["step-500", "step-1000"]), moments(["a", "b"])
        ([(2, 30), (10, 150)], [(0, 500), (1, 1000)], [(0, None), (1, None)])
    """
    epochs, steps = (_numbers(names, word) for word in ("epoch", "step"))
    return [*zip(epochs or range(len(names)), steps or [None] * len(names))]


def _numbers(names: Sequence[str], word: str) -> list[int] | None:
    found = [re.search(rf"{word}[-_= ]?(\d+)", name) for name in names]
    numbers = [int(match[1]) for match in found if match]
    return numbers if len(numbers) == len(names) and numbers == sorted(set(numbers)) else None


def _bare(path: str) -> str:
    return next((path.removesuffix(ending) for ending in ENDINGS if path.endswith(ending)), path)


def _in_order(results: Mapping[str, Result], named: Mapping[str, str]) -> dict[str, Result]:
    return {name: results[name] for name in named if name in results}


def _save(job: Job, path: Path | None, results: Mapping[str, Result], lost: Mapping[str, str]) -> None:
    if path not in (None, STDOUT) and job.comm.rank == 0:
        SeveralResults(results, (), lost).save(path)


def _picture(one: Comparison) -> History:
    from streaming_metrics.report import comparison_history

    assert one.metric is not None
    real, fake = one.images
    return comparison_history("checkpoints", metric=one.metric, values=one.values, real=real, fake=fake)


def _told(lost: Mapping[str, str], what: str) -> str:
    lines = "\n".join(f"  {name}: {why}" for name, why in lost.items())
    return f"{what}:\n{lines}\nRemedy: mend or remove them; with --json FILE a further run scores these alone."
