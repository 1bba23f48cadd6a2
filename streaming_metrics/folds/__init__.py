"""What is read off the tiles of inner products between two sides."""

from streaming_metrics.folds.balls import Balls as Balls
from streaming_metrics.folds.balls import squared_radii as squared_radii
from streaming_metrics.folds.base import Fold as Fold
from streaming_metrics.folds.base import Role as Role
from streaming_metrics.folds.base import Setting as Setting
from streaming_metrics.folds.base import Shard as Shard
from streaming_metrics.folds.kernels import KernelSums as KernelSums
from streaming_metrics.folds.kernels import PolynomialKernel as PolynomialKernel
from streaming_metrics.folds.nearest import Nearest as Nearest
from streaming_metrics.folds.neighbours import BallCounts as BallCounts
from streaming_metrics.folds.neighbours import Radii as Radii
from streaming_metrics.folds.subsets import Draw as Draw
from streaming_metrics.folds.subsets import SubsetSums as SubsetSums
