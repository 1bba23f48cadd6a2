"""Pair reductions: what is read off the tiles of inner products and distances between two sides."""

from streaming_metrics.pairwise.ball_counts import BallCounts as BallCounts
from streaming_metrics.pairwise.balls import Balls as Balls
from streaming_metrics.pairwise.balls import squared_radii as squared_radii
from streaming_metrics.pairwise.bandwidths import Bandwidths as Bandwidths
from streaming_metrics.pairwise.base import PairContext as PairContext
from streaming_metrics.pairwise.base import PairReduction as PairReduction
from streaming_metrics.pairwise.clipped_balls import ClippedBalls as ClippedBalls
from streaming_metrics.pairwise.draws import Draw as Draw
from streaming_metrics.pairwise.half import half_reach as half_reach
from streaming_metrics.pairwise.kernel_sums import KernelSums as KernelSums
from streaming_metrics.pairwise.kernels import Kernel as Kernel
from streaming_metrics.pairwise.kernels import PolynomialKernel as PolynomialKernel
from streaming_metrics.pairwise.kernels import RBFKernel as RBFKernel
from streaming_metrics.pairwise.nearest import Nearest as Nearest
from streaming_metrics.pairwise.radii import Radii as Radii
from streaming_metrics.pairwise.shards import Shard as Shard
from streaming_metrics.pairwise.subset_sums import SubsetSums as SubsetSums
from streaming_metrics.pairwise.tiling import Tiling as Tiling
