"""Reference files of several networks: one of each, that of the first by the name given, the others beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streaming_metrics.files.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.measures.base import Measure

MOMENTS = ".npz"


def beside(path: Path, network: str) -> Path:
    """Return where the reference of another network is, beside that of the first.

    Example:
        >>> beside(Path("real.safetensors"), "low-level").name, beside(Path("real"), "low-level").name
        ('real.low-level.safetensors', 'real.low-level')
    """
    suffix = ".safetensors" if path.suffix == MOMENTS else path.suffix
    return path.with_name(f"{path.stem}.{network}{suffix}")


def files_of(metric: GenerativeMetrics, path: Path) -> dict[str | None, Path]:
    """Return the file of each network's reference by its name, None for the first; an ``.npz`` is of that alone."""
    others = metric.networks[1:] if path.suffix != MOMENTS else ()
    return {None: path} | {name: beside(path, name) for name in others}


def with_others(first: Reference, path: Path, measures: Sequence[Measure]) -> list[Reference]:
    """Return a reference, and those beside it of the networks that measures bring.

    Raises:
        FileNotFoundError: where one of them is missing.
    """
    known = first.about.get("extractor", {}).get("name")
    wanted = dict.fromkeys(m.network for m in measures if m.network not in (None, known))
    return [first, *(_load(path, name) for name in wanted if name)]


def _load(path: Path, network: str) -> Reference:
    file = beside(path, network)
    if not file.exists():
        raise FileNotFoundError(
            f"{path}: expected features of {network} in {file}, found no such file. Remedy: streaming-metrics "
            "reference with these --measures, which writes both; or leave out the measures that read them."
        )
    return Reference.load(file)
