"""The demo's table and pictures: curves of the measures, and samples through the epochs beside real images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from streaming_metrics.image_log import image_grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    Row = Mapping[str, float]

INK, GREY, COLOURS = "#222222", "#8a8a8a", ("#2a6f97", "#d1495b")


class Panel(NamedTuple):
    """One small plot: what it is called, whose curves it holds (the first spelling that is there), what is better."""

    title: str
    curves: tuple[tuple[str, ...], ...]
    better: str


PANELS = (
    Panel("Fréchet distance", (("fid", "fd"),), "↓"),
    Panel("Kernel distance", (("kid", "kd"),), "↓"),
    Panel("Inception score", (("is",),), "↑"),
    Panel("Precision and recall", (("precision",), ("recall",)), "↑"),
    Panel("Density and coverage", (("density",), ("coverage",)), "↑"),
)


def line(epoch: int, row: Row) -> str:
    """Return an epoch's values as one line of text.

    Example:
        >>> line(3, {"fd": 131.26, "fd_std": 1.0, "recall": 0.8123})
        'epoch  3   fd 131   recall 0.812'
    """
    return f"epoch {epoch:>2}   " + "   ".join(f"{key} {number(row[key])}" for key in _leading(row))


def number(value: float) -> str:
    """Return a value with three digits.

    Example:
        >>> number(131.26), number(0.81234), number(25834.1)
        ('131', '0.812', '25834')
    """
    whole_digits = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(0, 3 - whole_digits)}f}"


def show(rows: Sequence[Row], out: Path, seconds: float) -> None:
    """Print the table of epochs and measures, the best of each in bold, and what was written where."""
    from rich.console import Console
    from rich.table import Table

    keys = _leading(rows[0])
    better = {key: panel.better for panel in PANELS for curve in panel.curves for key in curve}
    best = {key: (min if better.get(key) == "↓" else max)(row[key] for row in rows) for key in keys}
    table = Table(title="Epochs and measures", caption="best in bold", title_style="bold", box=None, padding=(0, 1))
    for heading in ("epoch", *(f"{key} {better.get(key, '')}" for key in keys)):
        table.add_column(heading, justify="right")
    for epoch, row in enumerate(rows, 1):
        cells = (f"[bold green]{number(row[k])}[/]" if row[k] == best[k] else number(row[k]) for k in keys)
        table.add_row(str(epoch), *cells)
    console = Console()
    console.print(table)
    console.print(
        f"\nIn {seconds:.0f} s. Written to [bold]{out}[/]: " + ", ".join(sorted(f.name for f in out.iterdir()))
    )
    console.print(f"Sample grids and curves: tensorboard --logdir {out}")


def curves(rows: Sequence[Row], samples: Tensor, signature: str, path: Path) -> None:
    """Draw a small plot for each measure, with one of the last samples beside them.

    Args:
        rows: each epoch's values.
        samples: ``(N, 3, H, W)`` uint8.
        signature: how the numbers came about, for the foot of the picture.
        path: of the PNG.
    """
    figure = _figure(11, 6.2)
    axes = figure.subplots(2, 3).flatten()
    for ax, panel in zip(axes, PANELS):
        _draw_panel(ax, panel, rows)
    _draw_image(axes[-1], image_grid(samples[:16]))
    axes[-1].set_title(f"Generated, epoch {len(rows)}", loc="left", color=INK, fontweight="bold")
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
    n, key = len(frames[0]), _leading(rows[0])[0]
    shown = _spread(len(rows), most=6)
    labels = [f"epoch {i + 1}\n{key} {number(rows[i][key])}" for i in shown] + ["real"]
    pictures = [*(frames[i] for i in shown), real[:: max(1, len(real) // n)][:n]]
    figure = _figure(0.62 * n + 1, 0.66 * len(pictures) + 0.2)
    for ax, label, images in zip(figure.subplots(len(pictures), 1, squeeze=False)[:, 0], labels, pictures):
        _draw_image(ax, image_grid(images, columns=n))
        colour = COLOURS[0] if label == "real" else INK
        ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9, color=colour)
    figure.savefig(path, dpi=130)


def _spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` positions of ``count``, from the first to the last, in gaps that widen."""
    steps = torch.logspace(0, 1, min(most, count), base=float(count)).round().int() - 1
    return sorted(set(steps.tolist()))


def _leading(row: Row) -> list[str]:
    return [key for key in row if not key.endswith(("_std", "_se"))]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _draw_image(ax: Axes, picture: Tensor) -> None:
    ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_panel(ax: Axes, panel: Panel, rows: Sequence[Row]) -> None:
    epochs = range(1, len(rows) + 1)
    for colour, spellings in zip(COLOURS, panel.curves):
        key = next((key for key in spellings if key in rows[0]), None)
        if key is not None:
            _draw_curve(ax, epochs, rows, key, colour)
    ax.set_title(f"{panel.title} {panel.better}", loc="left", color=INK, fontweight="bold")
    ax.set_xlim(1, len(rows) * 1.02 + 0.1)
    ax.set_ylim(bottom=0)
    ax.set_xticks(list(epochs)[:: max(1, len(rows) // 5)])
    ax.set_xlabel("epoch", color=GREY, fontsize=8, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#cccccc")
    ax.tick_params(colors=GREY, labelsize=8)
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)


def _draw_curve(ax: Axes, epochs: Sequence[int], rows: Sequence[Row], key: str, colour: str) -> None:
    values = torch.tensor([row[key] for row in rows])
    spread = torch.tensor([row.get(f"{key}_std", 0.0) for row in rows])
    ax.fill_between(epochs, values - spread, values + spread, color=colour, alpha=0.15, linewidth=0)
    ax.plot(epochs, values, color=colour, linewidth=2, marker="o", markersize=3.5)
    ax.annotate(
        f"{key} {number(values[-1].item())}",
        (epochs[-1], values[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        color=colour,
        va="center",
        fontsize=9,
    )
