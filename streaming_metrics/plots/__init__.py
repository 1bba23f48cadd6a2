"""Curves of measures, precision against recall, samples beside their neighbours, modes, units, a map of features, ways
between samples: functions that take an ``ax``.
"""

from streaming_metrics.plots.feature_map import projection as projection
from streaming_metrics.plots.figures import COLOURS as COLOURS
from streaming_metrics.plots.figures import FAINT as FAINT
from streaming_metrics.plots.figures import GREY as GREY
from streaming_metrics.plots.figures import INK as INK
from streaming_metrics.plots.figures import curves as curves
from streaming_metrics.plots.figures import neighbour_grid as neighbour_grid
from streaming_metrics.plots.figures import new_axes as new_axes
from streaming_metrics.plots.figures import new_figure as new_figure
from streaming_metrics.plots.figures import plot_values as plot_values
from streaming_metrics.plots.figures import pr_scatter as pr_scatter
from streaming_metrics.plots.interpolation_strips import interpolations as interpolations
from streaming_metrics.plots.mode_shares import modes as modes
from streaming_metrics.plots.unit_bars import units as units
