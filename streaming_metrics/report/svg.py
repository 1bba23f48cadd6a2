"""SVG: what matplotlib drew, as a part of a page that has fonts and colours of its own."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from streaming_metrics import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLEANING = (
    (r"<metadata>.*?</metadata>|<style.*?</style>", ""),
    (r'<g id="[^"]*"', "<g"),
    (r' (?:xmlns(?::xlink)?|version)="[^"]*"', ""),
    (r'<svg width="[^"]*" height="[^"]*"', "<svg"),
    (r"'DejaVu Sans'[^;\"]*", "var(--sans)"),
)
INKS = {plots.INK: "--ink", plots.GREY: "--soft", plots.FAINT: "--line"} | {
    colour: f"--curve-{i}" for i, colour in enumerate(plots.COLOURS)
}


def svg_of(ax: Axes, name: str) -> str:
    """Return the figure of ``ax`` as an ``<svg>`` element without sizes, fonts, colours or addresses of its own.

    Args:
        ax: what was drawn.
        name: keeps what the drawing refers to apart from what others in the page do.
    """
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        about = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        ax.get_figure().savefig(file, format="svg", transparent=True, metadata=about)  # pyright: ignore
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    for pattern, instead in CLEANING:
        svg = re.sub(pattern, instead, svg, flags=re.DOTALL)
    for colour, variable in INKS.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
