"""Measures: pure functions of statistics and pair reductions; one paper, one file."""

from typing import TYPE_CHECKING

from streaming_metrics.lazy import lazy_names
from streaming_metrics.measures.registry import homes

if TYPE_CHECKING:
    from streaming_metrics.measures.authenticity import AuthPct as AuthPct
    from streaming_metrics.measures.base import BiasWarning as BiasWarning
    from streaming_metrics.measures.base import Measure as Measure
    from streaming_metrics.measures.base import NotEnoughSamples as NotEnoughSamples
    from streaming_metrics.measures.base import Roles as Roles
    from streaming_metrics.measures.base import Scalar as Scalar
    from streaming_metrics.measures.base import Side as Side
    from streaming_metrics.measures.base import Sides as Sides
    from streaming_metrics.measures.bins import NDB as NDB
    from streaming_metrics.measures.frechet import FID as FID
    from streaming_metrics.measures.inception_score import IS as IS
    from streaming_metrics.measures.intra_frechet import IntraFID as IntraFID
    from streaming_metrics.measures.kernel import KID as KID
    from streaming_metrics.measures.mmd import MMD as MMD
    from streaming_metrics.measures.modes import Modes as Modes
    from streaming_metrics.measures.prdc import PRDC as PRDC
    from streaming_metrics.measures.vendi import Vendi as Vendi

BASE = ("BiasWarning", "Measure", "NotEnoughSamples", "Roles", "Scalar", "Side", "Sides")
__getattr__, __dir__ = lazy_names(__name__, homes() | dict.fromkeys(BASE, f"{__name__}.base"))

if not TYPE_CHECKING:  # type checkers take the names above
    __all__ = sorted([*homes(), *BASE])
