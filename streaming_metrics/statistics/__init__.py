"""Statistics: what is kept of a stream of features."""

from streaming_metrics.statistics.authentic import Authentic as Authentic
from streaming_metrics.statistics.bank import Bank as Bank
from streaming_metrics.statistics.base import State as State
from streaming_metrics.statistics.base import Statistic as Statistic
from streaming_metrics.statistics.base import state_device as state_device
from streaming_metrics.statistics.bin_counts import BinCounts as BinCounts
from streaming_metrics.statistics.captions import CaptionDigest as CaptionDigest
from streaming_metrics.statistics.captions import KnownCaptions as KnownCaptions
from streaming_metrics.statistics.captions import caption_hashes as caption_hashes
from streaming_metrics.statistics.class_sums import ClassSums as ClassSums
from streaming_metrics.statistics.count import Count as Count
from streaming_metrics.statistics.distinct import Distinct as Distinct
from streaming_metrics.statistics.distinct import DistinctCount as DistinctCount
from streaming_metrics.statistics.fixed_rows import FixedRows as FixedRows
from streaming_metrics.statistics.histogram import Histogram as Histogram
from streaming_metrics.statistics.kernel_densities import KernelDensities as KernelDensities
from streaming_metrics.statistics.linear_probe import LinearProbe as LinearProbe
from streaming_metrics.statistics.marginals import Marginals as Marginals
from streaming_metrics.statistics.moments import Moments as Moments
from streaming_metrics.statistics.nearest_points import NearestPoints as NearestPoints
from streaming_metrics.statistics.neighbours import Neighbours as Neighbours
from streaming_metrics.statistics.probe_hits import ProbeHits as ProbeHits
from streaming_metrics.statistics.retrieved import CaptionPool as CaptionPool
from streaming_metrics.statistics.retrieved import Retrieved as Retrieved
from streaming_metrics.statistics.second_moment import SecondMoment as SecondMoment
from streaming_metrics.statistics.sums import Sums as Sums
