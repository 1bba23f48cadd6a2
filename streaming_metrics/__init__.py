"""Watch a generative model while it trains: exact, streamed, on any number of ranks."""

from typing import TYPE_CHECKING

import streaming_metrics.startup as _startup  # noqa: F401  first: what follows may take seconds to import

# isort: split
from streaming_metrics.lazy import lazy_names
from streaming_metrics.measures.registry import homes

if TYPE_CHECKING:
    from streaming_metrics.core.repeats import RepeatsWarning as RepeatsWarning
    from streaming_metrics.core.saved_states import merge_states as merge_states
    from streaming_metrics.core.shell import GenerativeMetrics as GenerativeMetrics
    from streaming_metrics.distributed.comm import MissingRanks as MissingRanks
    from streaming_metrics.features import Features as Features
    from streaming_metrics.features import Spec as Spec
    from streaming_metrics.files.reference import Reference as Reference
    from streaming_metrics.files.reference import load_reference as load_reference
    from streaming_metrics.measures import C2ST as C2ST
    from streaming_metrics.measures import CAS as CAS
    from streaming_metrics.measures import CMMD as CMMD
    from streaming_metrics.measures import FID as FID
    from streaming_metrics.measures import FKEA as FKEA
    from streaming_metrics.measures import FLD as FLD
    from streaming_metrics.measures import FVD as FVD
    from streaming_metrics.measures import FWD as FWD
    from streaming_metrics.measures import IS as IS
    from streaming_metrics.measures import KEN as KEN
    from streaming_metrics.measures import KID as KID
    from streaming_metrics.measures import MIND as MIND
    from streaming_metrics.measures import MMD as MMD
    from streaming_metrics.measures import NDB as NDB
    from streaming_metrics.measures import NNAA as NNAA
    from streaming_metrics.measures import PPPR as PPPR
    from streaming_metrics.measures import PRDC as PRDC
    from streaming_metrics.measures import RFID as RFID
    from streaming_metrics.measures import RKE as RKE
    from streaming_metrics.measures import SFID as SFID
    from streaming_metrics.measures import AdaGANCoverage as AdaGANCoverage
    from streaming_metrics.measures import AdversarialDivergence as AdversarialDivergence
    from streaming_metrics.measures import AMScore as AMScore
    from streaming_metrics.measures import AuthPct as AuthPct
    from streaming_metrics.measures import BiasWarning as BiasWarning
    from streaming_metrics.measures import BirthdayParadox as BirthdayParadox
    from streaming_metrics.measures import BoundaryDistortion as BoundaryDistortion
    from streaming_metrics.measures import ClippedDensityCoverage as ClippedDensityCoverage
    from streaming_metrics.measures import CTScore as CTScore
    from streaming_metrics.measures import FDDINOv2 as FDDINOv2
    from streaming_metrics.measures import FDr6 as FDr6
    from streaming_metrics.measures import FIDInfinity as FIDInfinity
    from streaming_metrics.measures import GANTest as GANTest
    from streaming_metrics.measures import GeometryScore as GeometryScore
    from streaming_metrics.measures import ImageRetrieval as ImageRetrieval
    from streaming_metrics.measures import ImageStatistics as ImageStatistics
    from streaming_metrics.measures import IntraFID as IntraFID
    from streaming_metrics.measures import ISInfinity as ISInfinity
    from streaming_metrics.measures import JEDi as JEDi
    from streaming_metrics.measures import MeanScore as MeanScore
    from streaming_metrics.measures import Measure as Measure
    from streaming_metrics.measures import MiFID as MiFID
    from streaming_metrics.measures import Modes as Modes
    from streaming_metrics.measures import ModeScore as ModeScore
    from streaming_metrics.measures import ModifiedIS as ModifiedIS
    from streaming_metrics.measures import NotEnoughSamples as NotEnoughSamples
    from streaming_metrics.measures import ParzenLikelihood as ParzenLikelihood
    from streaming_metrics.measures import RPrecision as RPrecision
    from streaming_metrics.measures import Scalar as Scalar
    from streaming_metrics.measures import SharpnessDifference as SharpnessDifference
    from streaming_metrics.measures import SlicedWasserstein as SlicedWasserstein
    from streaming_metrics.measures import TopPR as TopPR
    from streaming_metrics.measures import Vendi as Vendi
    from streaming_metrics.measures import WassersteinCritic as WassersteinCritic
    from streaming_metrics.measures.mode_table import ModeTable as ModeTable
    from streaming_metrics.sampling import DealtStream as DealtStream
    from streaming_metrics.sampling import UnpaddedSampler as UnpaddedSampler
    from streaming_metrics.sampling import keep_unpadded as keep_unpadded
    from streaming_metrics.signature import Signature as Signature
    from streaming_metrics.statistics.captions import caption_hashes as caption_hashes
    from streaming_metrics.verdicts.evidence import Evidence as Evidence
    from streaming_metrics.verdicts.evidence import Influence as Influence
    from streaming_metrics.verdicts.paired import Comparison as Comparison
    from streaming_metrics.verdicts.paired import paired as paired
    from streaming_metrics.verdicts.paired import unpaired as unpaired

HOMES = {
    "RepeatsWarning": "core.repeats",
    "merge_states": "core.saved_states",
    "GenerativeMetrics": "core.shell",
    "MissingRanks": "distributed.comm",
    "Features": "features",
    "Spec": "features",
    "Reference": "files.reference",
    "load_reference": "files.reference",
    "BiasWarning": "measures.base",
    "Measure": "measures.base",
    "NotEnoughSamples": "measures.base",
    "Scalar": "measures.base",
    "ModeTable": "measures.mode_table",
    "DealtStream": "sampling",
    "UnpaddedSampler": "sampling",
    "keep_unpadded": "sampling",
    "Signature": "signature",
    "caption_hashes": "statistics.captions",
    "Evidence": "verdicts.evidence",
    "Influence": "verdicts.evidence",
    "Comparison": "verdicts.paired",
    "paired": "verdicts.paired",
    "unpaired": "verdicts.paired",
}
"""The module that each public name is defined in; the measures are those of the registry."""
__getattr__, __dir__ = lazy_names(__name__, {name: f"{__name__}.{module}" for name, module in HOMES.items()} | homes())

if not TYPE_CHECKING:  # type checkers take the names above
    __all__ = sorted([*HOMES, *homes()])
