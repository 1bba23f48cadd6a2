"""Measures: pure functions of statistics and pair reductions; one paper, one file."""

from typing import TYPE_CHECKING

from streaming_metrics.lazy import lazy_names
from streaming_metrics.measures.registry import homes

if TYPE_CHECKING:
    from streaming_metrics.measures.adagan_coverage import AdaGANCoverage as AdaGANCoverage
    from streaming_metrics.measures.adversarial_divergence import AdversarialDivergence as AdversarialDivergence
    from streaming_metrics.measures.am_score import AMScore as AMScore
    from streaming_metrics.measures.authenticity import AuthPct as AuthPct
    from streaming_metrics.measures.base import BiasWarning as BiasWarning
    from streaming_metrics.measures.base import Measure as Measure
    from streaming_metrics.measures.base import NotEnoughSamples as NotEnoughSamples
    from streaming_metrics.measures.base import Roles as Roles
    from streaming_metrics.measures.base import Scalar as Scalar
    from streaming_metrics.measures.base import Side as Side
    from streaming_metrics.measures.base import Sides as Sides
    from streaming_metrics.measures.bins import NDB as NDB
    from streaming_metrics.measures.birthday import BirthdayParadox as BirthdayParadox
    from streaming_metrics.measures.boundary_distortion import BoundaryDistortion as BoundaryDistortion
    from streaming_metrics.measures.c2st import C2ST as C2ST
    from streaming_metrics.measures.classification import CAS as CAS
    from streaming_metrics.measures.clipped import ClippedDensityCoverage as ClippedDensityCoverage
    from streaming_metrics.measures.cmmd import CMMD as CMMD
    from streaming_metrics.measures.critic import WassersteinCritic as WassersteinCritic
    from streaming_metrics.measures.ct_score import CTScore as CTScore
    from streaming_metrics.measures.fd_dinov2 import FDDINOv2 as FDDINOv2
    from streaming_metrics.measures.fourier_entropy import FKEA as FKEA
    from streaming_metrics.measures.frechet import FID as FID
    from streaming_metrics.measures.frechet_ratios import FDr6 as FDr6
    from streaming_metrics.measures.gan_test import GANTest as GANTest
    from streaming_metrics.measures.geometry import GeometryScore as GeometryScore
    from streaming_metrics.measures.image_statistics import ImageStatistics as ImageStatistics
    from streaming_metrics.measures.inception_score import IS as IS
    from streaming_metrics.measures.infinity import FIDInfinity as FIDInfinity
    from streaming_metrics.measures.infinity import ISInfinity as ISInfinity
    from streaming_metrics.measures.intra_frechet import IntraFID as IntraFID
    from streaming_metrics.measures.jedi import JEDi as JEDi
    from streaming_metrics.measures.kernel import KID as KID
    from streaming_metrics.measures.kernel_novelty import KEN as KEN
    from streaming_metrics.measures.likelihood_divergence import FLD as FLD
    from streaming_metrics.measures.mean_score import MeanScore as MeanScore
    from streaming_metrics.measures.mifid import MiFID as MiFID
    from streaming_metrics.measures.mind import MIND as MIND
    from streaming_metrics.measures.mmd import MMD as MMD
    from streaming_metrics.measures.mode_score import ModeScore as ModeScore
    from streaming_metrics.measures.modes import Modes as Modes
    from streaming_metrics.measures.modified_inception_score import ModifiedIS as ModifiedIS
    from streaming_metrics.measures.nnaa import NNAA as NNAA
    from streaming_metrics.measures.parzen import ParzenLikelihood as ParzenLikelihood
    from streaming_metrics.measures.prdc import PRDC as PRDC
    from streaming_metrics.measures.probabilistic import PPPR as PPPR
    from streaming_metrics.measures.r_precision import RPrecision as RPrecision
    from streaming_metrics.measures.reconstruction_frechet import RFID as RFID
    from streaming_metrics.measures.retrieval import ImageRetrieval as ImageRetrieval
    from streaming_metrics.measures.rke import RKE as RKE
    from streaming_metrics.measures.sharpness import SharpnessDifference as SharpnessDifference
    from streaming_metrics.measures.sliced_wasserstein import SlicedWasserstein as SlicedWasserstein
    from streaming_metrics.measures.spatial_frechet import SFID as SFID
    from streaming_metrics.measures.topological import TopPR as TopPR
    from streaming_metrics.measures.vendi import Vendi as Vendi
    from streaming_metrics.measures.video_frechet import FVD as FVD
    from streaming_metrics.measures.wavelet_frechet import FWD as FWD

BASE = ("BiasWarning", "Measure", "NotEnoughSamples", "Roles", "Scalar", "Side", "Sides")
__getattr__, __dir__ = lazy_names(__name__, homes() | dict.fromkeys(BASE, f"{__name__}.base"))

if not TYPE_CHECKING:  # type checkers take the names above
    __all__ = sorted([*homes(), *BASE])
