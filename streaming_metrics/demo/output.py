"""Output of the demo: curves of the measures in a table and pictures, and samples beside real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streaming_metrics.monitor.image_log import image_grid
from streaming_metrics.plots import COLOURS, GREY, INK, curves, new_figure
from streaming_metrics.plots.result_keys import arrow, by_group, column, grouped, leading, number, only

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.table import Table
    from torch import Tensor

    Row = Mapping[str, float]

OPEN_FIRST = {
    "report.html": "all of it on one page: curves, samples through the epochs, what is missing, what is invented",
    "samples.png": "samples of the epochs from the same noise, above real images",
    "study/report.html": "what the simulated raters say of the epochs, beside what the measures say",
    "metrics.csv": "the values of each epoch, as numbers",
}
"""What to look at first, of what there is, and what it shows."""


def show(rows: Sequence[Row], name: str = "") -> None:
    """Print the table of epochs and measures, the best of each in bold.

    Args:
        rows: each epoch's values.
        name: of the sampler; empty for one alone.
    """
    from rich.console import Console

    Console().print(_table(rows, name))


def point_out(out: Path, *, has_study: bool = False) -> None:
    """Print which three files to open first, and which others there are.

    Args:
        out: folder of all of them.
        has_study: whether raters have judged the epochs.
    """
    names = [name for name in OPEN_FIRST if has_study or not name.startswith("study")][:3]
    width = max(len(f"{out / name}") for name in names)
    print("\nOpen first:")
    for place, name in enumerate(names, 1):
        print(f"  {place}. {f'{out / name}'.ljust(width)}  {OPEN_FIRST[name]}")
    others = sorted(file.name for file in out.iterdir() if file.name not in names)
    print(f"Beside them: {', '.join(others)}. Curves: tensorboard --logdir {out}")


def _table(rows: Sequence[Row], name: str = "") -> Table:
    """Return a line for each measure, a column for each epoch that there is room for."""
    from rich.table import Table

    title = f"Epochs and measures: {name}" if name else "Epochs and measures"
    table = Table(
        title=title, caption="best in bold; epochs count from 0", title_style="bold", box=None, padding=(0, 1)
    )
    shown = _spread(len(rows), most=10)
    for heading in ("", *(f"{place}" for place in shown)):
        table.add_column(heading, justify="right" if heading else "left")
    groups = by_group(leading(rows))
    for group, keys in groups.items():
        if len(groups) > 1:
            table.add_row(f"\n[bold]{group.capitalize()}[/]")
        for key in keys:
            values = column(rows, key)
            best = (min if arrow(key) == "↓" else max)(values) if arrow(key) else None
            cells = [f"[bold green]{number(v)}[/]" if v == best else number(v) for v in (values[i] for i in shown)]
            table.add_row(f"{key} {arrow(key)}".strip(), *cells)
    return table


def overview(rows: Sequence[Row], samples: Tensor, signature: str, path: Path) -> None:
    """Draw a small plot for each group of measures, with some of the last samples beside them.

    Args:
        rows: each epoch's values.
        samples: ``(N, 3, H, W)`` uint8.
        signature: how the numbers came about, for the foot of the picture.
        path: of the PNG.
    """
    groups = grouped(leading(rows))[:5]
    figure = new_figure(11, 6.2)
    axes = figure.subplots(2, 3).flatten()
    for ax, (panel, keys) in zip(axes, groups):
        curves(only(rows, keys), ax, epochs=range(len(rows)))
        ax.set_title(panel.heading, loc="left", color=INK, fontweight="bold")
    for spare in axes[len(groups) : -1]:
        spare.set_visible(False)
    _draw_image(axes[-1], image_grid(samples[:16]))
    axes[-1].set_title(f"Generated, epoch {len(rows) - 1}", loc="left", color=INK, fontweight="bold")
    figure.supxlabel(signature, fontsize=7, color=GREY)
    figure.savefig(path, dpi=160)


def strips(frames: Sequence[Tensor], rows: Sequence[Row], real: Tensor, path: Path) -> None:
    """Draw a row of samples for some epochs (more of the early ones), from the same noise, above a row of real images.

    Args:
        frames: each epoch's samples, ``(N, 3, H, W)`` uint8.
        rows: each epoch's values.
        real: ``(≥ N, 1 or 3, H, W)`` uint8.
        path: of the PNG.
    """
    n, key = len(frames[0]), leading(rows)[0]
    shown = _spread(len(rows), most=6)
    labels = [f"epoch {i}\n{key} {number(rows[i][key])}" for i in shown] + ["real"]
    pictures = [*(frames[i] for i in shown), real[:: max(1, len(real) // n)][:n]]
    figure = new_figure(0.62 * n + 1, 0.66 * len(pictures) + 0.2)
    for ax, label, images in zip(figure.subplots(len(pictures), 1, squeeze=False)[:, 0], labels, pictures):
        _draw_image(ax, image_grid(images, columns=n))
        colour = COLOURS[0] if label == "real" else INK
        ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, color=colour)
    figure.savefig(path, dpi=130)


def _spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` positions of ``count``, from the first to the last, in gaps that widen."""
    steps = torch.logspace(0, 1, min(most, count), base=float(count)).round().int() - 1
    return sorted(set(steps.tolist()))


def _draw_image(ax: Axes, picture: Tensor) -> None:
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
