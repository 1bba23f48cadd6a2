"""Extractors: frozen networks from uint8 images to :class:`~streaming_metrics.features.Features`."""

from typing import TYPE_CHECKING

from streaming_metrics.lazy import lazy_names

if TYPE_CHECKING:
    from streaming_metrics.extractors.base import Extractor as Extractor
    from streaming_metrics.extractors.clips import ClipExtractor as ClipExtractor
    from streaming_metrics.extractors.efficientnet import EfficientNetLite0 as EfficientNetLite0
    from streaming_metrics.extractors.hps import HPSv2 as HPSv2
    from streaming_metrics.extractors.i3d import I3D as I3D
    from streaming_metrics.extractors.image_reward import ImageReward as ImageReward
    from streaming_metrics.extractors.inception import InceptionV3 as InceptionV3
    from streaming_metrics.extractors.low_level import LowLevel as LowLevel
    from streaming_metrics.extractors.module import ModuleExtractor as ModuleExtractor
    from streaming_metrics.extractors.names import EXTRACTORS as EXTRACTORS
    from streaming_metrics.extractors.pick_score import PickScore as PickScore
    from streaming_metrics.extractors.registry import resolve as resolve
    from streaming_metrics.extractors.resize import RESIZES as RESIZES
    from streaming_metrics.extractors.scorer import Scorer as Scorer
    from streaming_metrics.extractors.torchvision import TorchvisionExtractor as TorchvisionExtractor
    from streaming_metrics.extractors.video_folders import VJEPA as VJEPA
    from streaming_metrics.extractors.video_folders import VideoMAE as VideoMAE
    from streaming_metrics.extractors.videomae_v2 import VideoMAEv2 as VideoMAEv2
    from streaming_metrics.extractors.vqa_score import VQAScore as VQAScore
    from streaming_metrics.extractors.wavelet_packets import WaveletPackets as WaveletPackets
    from streaming_metrics.images.conversion import check_images as check_images
    from streaming_metrics.images.conversion import to_uint8 as to_uint8

HOMES = {
    "Extractor": "base",
    "ClipExtractor": "clips",
    "EfficientNetLite0": "efficientnet",
    "I3D": "i3d",
    "InceptionV3": "inception",
    "LowLevel": "low_level",
    "ModuleExtractor": "module",
    "EXTRACTORS": "names",
    "resolve": "registry",
    "RESIZES": "resize",
    "HPSv2": "hps",
    "ImageReward": "image_reward",
    "PickScore": "pick_score",
    "Scorer": "scorer",
    "VQAScore": "vqa_score",
    "TorchvisionExtractor": "torchvision",
    "VJEPA": "video_folders",
    "VideoMAE": "video_folders",
    "VideoMAEv2": "videomae_v2",
    "WaveletPackets": "wavelet_packets",
}
CONVERSION = dict.fromkeys(("check_images", "to_uint8"), "streaming_metrics.images.conversion")
__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{__name__}.{module}" for name, module in HOMES.items()} | CONVERSION
)

if not TYPE_CHECKING:  # type checkers take the names above
    __all__ = sorted([*HOMES, *CONVERSION])
