"""Statistics: what is kept of a stream of features."""

from streaming_metrics.statistics.authentic import Authentic as Authentic
from streaming_metrics.statistics.bank import Bank as Bank
from streaming_metrics.statistics.base import State as State
from streaming_metrics.statistics.base import Statistic as Statistic
from streaming_metrics.statistics.base import state_device as state_device
from streaming_metrics.statistics.bin_counts import BinCounts as BinCounts
from streaming_metrics.statistics.count import Count as Count
from streaming_metrics.statistics.distinct import Distinct as Distinct
from streaming_metrics.statistics.distinct import DistinctCount as DistinctCount
from streaming_metrics.statistics.fixed_rows import FixedRows as FixedRows
from streaming_metrics.statistics.marginals import Marginals as Marginals
from streaming_metrics.statistics.mode_sums import ModeSums as ModeSums
from streaming_metrics.statistics.moments import Moments as Moments
from streaming_metrics.statistics.neighbours import Neighbours as Neighbours
from streaming_metrics.statistics.second_moment import SecondMoment as SecondMoment
from streaming_metrics.statistics.sums import Sums as Sums
