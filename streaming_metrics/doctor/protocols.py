"""Protocols: named ways to compute one number, each a setting read off the code of the tool that it is called after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streaming_metrics.doctor.settings import FILE, IMAGES, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable

HALF = "half of N"
MOST = 50_000
"""Generated samples that StyleGAN, EDM and dgm-eval take, unless told otherwise."""


@dataclass(frozen=True)
class Protocol:
    """Protocol: a setting with a name.

    Args:
        name: of the tool, or of the difference.
        setting: all that it decides.
        about: where the tool does so, in a line.
        is_published: whether its real side is a file of statistics that its authors publish.
    """

    name: str
    setting: Setting
    about: str
    is_published: bool = False


INCEPTION: tuple[Protocol, ...] = (
    Protocol("torch-fidelity", Setting("tf1-bilinear"), "calculate_metrics(fid=True): TF1's bilinear, numpy.cov"),
    Protocol("pytorch-fid", Setting("torch-bilinear", precision="tf32"), "fid_score.py: on [0, 1], then 2x − 1"),
    Protocol("clean-fid", Setting("clean", precision="tf32"), "mode='clean': PIL's bicubic on float channels"),
    Protocol(
        "torchmetrics < 1.8",
        Setting("tf1-bilinear", quantisation="truncated", precision="tf32"),
        "FrechetInceptionDistance(normalize=True): (x·255).byte()",
    ),
    Protocol(
        "torchmetrics >= 1.8",
        Setting("torch-antialias", quantisation="truncated", precision="tf32"),
        "antialias=True, its default; normalize=True: (x·255).byte()",
    ),
    Protocol(
        "guided-diffusion",
        Setting("tf1-bilinear", quantisation="truncated", precision="tf32"),
        "evaluations/evaluator.py (ADM): trunc((x + 1)·127.5), TensorFlow's graph, published mu and sigma",
        is_published=True,
    ),
    Protocol("stylegan3", Setting("tf1-bilinear", MOST, ddof=0), "fid50k_full: trunc(127.5x + 128), scatter / N"),
    Protocol(
        "edm",
        Setting("tf1-bilinear", MOST, precision="tf32"),
        "fid.py: trunc(127.5x + 128), StyleGAN3's network, published mu and sigma",
        is_published=True,
    ),
    Protocol(
        "edm2",
        Setting("tf1-bilinear", MOST, precision="tf32"),
        "calculate_metrics.py: as edm, reference files of its own",
        is_published=True,
    ),
    Protocol(
        "dgm-eval",
        Setting("torch-bilinear", MOST, precision="tf32"),
        "models/inception.py: as pytorch-fid; --nsample 50000, there of the real images too",
    ),
)
"""Protocols of the reference Inception.

What a tool leaves to PyTorch or TensorFlow is the default there, convolutions in TF32 where the device has it: on a CPU
there is none, and it is as float32.
"""
RESIZED: tuple[Protocol, ...] = (
    Protocol("antialias", Setting("torch-antialias"), "the network's own: bilinear, antialias"),
    Protocol("no antialias", Setting("torch-bilinear"), "bilinear at pixel centres without antialias"),
)
"""Protocols of a network whose own resize is bilinear with antialias."""
NATIVE: tuple[Protocol, ...] = (Protocol("as given", Setting(), "the network's own preparation of the images"),)
"""Protocols of a network that prepares images by itself."""
LEFT_OUT = (
    "torch-fidelity, pytorch-fid, clean-fid, torchmetrics, guided-diffusion, stylegan3, edm, edm2 and dgm-eval are "
    "left out: they are defined on the reference Inception, and this is {0}. What applies to any network is left."
)


@dataclass(frozen=True)
class Situation:
    """Situation: what there is to measure, which decides what protocols differ in.

    Args:
        network: name of the extractor.
        num_fakes: generated samples.
        has_floats: whether those are floats, so that they must be rounded.
        has_file: whether there is a saved reference beside the real images.
        has_tf32: whether the device has another precision by that name.
    """

    network: str
    num_fakes: int
    has_floats: bool = False
    has_file: bool = False
    has_tf32: bool = False

    def protocols(self) -> tuple[Protocol, ...]:
        """Return the protocols, each as it comes out here: a difference that cannot be seen is taken away."""
        known = {"inception-v3": INCEPTION, "efficientnet-lite0": RESIZED}.get(self.network, NATIVE)
        own = self._seen(known[0])
        further = [
            replace(own, name=HALF, about=f"{own.name} of half of the generated samples", setting=half)
            for half in [replace(own.setting, num_samples=self.num_fakes // 2)]
            if self.num_fakes >= 4
        ]
        if known is not INCEPTION:
            further += self._variants(own)
        return (*map(self._seen, known), *further)

    def notes(self) -> list[str]:
        """Return what is left out, and why."""
        notes = [] if self.network == "inception-v3" else [LEFT_OUT.format(self.network)]
        if not self.has_floats:
            notes.append(
                "Rounding of floats is left out: the generated images have 8 bits already. Remedy: a data set of "
                "floats, package.module:dataset, with --value-range."
            )
        if not self.has_file and self.network == "inception-v3":
            published = ", ".join(protocol.name for protocol in INCEPTION if protocol.is_published)
            notes.append(
                f"{published}: published with statistics of their own, here with those of the real images. Remedy: "
                "--reference FILE.npz."
            )
        if not self.has_tf32:
            notes.append("TF32 is left out: this device has none, and what asks for it computes in float32.")
        return notes

    def _seen(self, protocol: Protocol) -> Protocol:
        """Return a protocol without differences that this situation does not show."""
        setting = protocol.setting
        few = setting.num_samples is not None and setting.num_samples >= self.num_fakes
        return replace(
            protocol,
            setting=replace(
                setting,
                num_samples=None if few else setting.num_samples,
                quantisation=setting.quantisation if self.has_floats else "rounded",
                precision=setting.precision if self.has_tf32 else "fp32",
                reference=FILE if protocol.is_published and self.has_file else IMAGES,
            ),
        )

    def _variants(self, own: Protocol) -> Iterable[Protocol]:
        """Yield what differs from a network's own way in one factor alone."""
        if self.has_floats:
            truncated = replace(own.setting, quantisation="truncated")
            yield Protocol("truncated", truncated, "trunc((x + 1)/2·255), as (x·255).byte()")
        if self.has_file:
            yield Protocol("reference file", replace(own.setting, reference=FILE), "moments of --reference")
        yield Protocol("divided by N", replace(own.setting, ddof=0), "scatter / N in place of N − 1")
