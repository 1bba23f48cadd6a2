"""What is read off the tiles of inner products between two sides."""

from streaming_metrics.pairwise.balls import Balls as Balls
from streaming_metrics.pairwise.balls import squared_radii as squared_radii
from streaming_metrics.pairwise.base import PairReduction as PairReduction
from streaming_metrics.pairwise.base import Role as Role
from streaming_metrics.pairwise.base import Setting as Setting
from streaming_metrics.pairwise.base import Shard as Shard
from streaming_metrics.pairwise.kernels import KernelSums as KernelSums
from streaming_metrics.pairwise.kernels import PolynomialKernel as PolynomialKernel
from streaming_metrics.pairwise.nearest import Nearest as Nearest
from streaming_metrics.pairwise.neighbours import BallCounts as BallCounts
from streaming_metrics.pairwise.neighbours import Radii as Radii
from streaming_metrics.pairwise.subset_sums import Draw as Draw
from streaming_metrics.pairwise.subset_sums import SubsetSums as SubsetSums
