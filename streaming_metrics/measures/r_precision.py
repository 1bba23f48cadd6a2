"""R-precision: share of generated images whose own caption is found among others.

T. Xu et al., "AttnGAN: fine-grained text to image generation with attentional generative adversarial networks", CVPR
2018. Parity target: the paper's protocol, the caption among 99 drawn ones; the encoders are the user's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of, share_error_of
from streaming_metrics.statistics import Bank, CaptionPool, Retrieved
from streaming_metrics.statistics.retrieved import TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class RPrecision(Measure):
    """R-precision: share of generated images whose own caption is among the r nearest of ``candidates`` captions.

    Nearest by the cosine of an image's features, ``pool (N, D)``, and a caption's embedding, ``text (N, D)``, of two
    encoders that were trained together (CLIP, the paper's DAMSM): the number belongs to them. The other candidates are
    drawn from the captions of real samples, by a hash of the image's own caption and the seed, so that they are the
    same whatever else is generated; the own caption is never among them. Ties count against the image. Range [0, 1],
    higher is better; ``r / candidates`` by chance.

    Both sides need ``text`` and ``captions``, int64 ``(N,)``, see :func:`~streaming_metrics.caption_hashes`:
    ``update(images, captions=[…])`` with CLIP, whose extractor makes both, or ``update(Features(pool, text=…),
    captions=…)``; a metric of given features is told the width, by ``widths={"text": D}``. Of real samples, ``most``
    captions are kept, which depend on the ids alone; of several samples with one caption, the first id's. Once the real
    side is frozen, of generated samples two counts are kept.

    Args:
        candidates: captions among which the own one is looked for, itself among them; the paper's 100.
        r: how many of the nearest count; the paper's 1.
        most: real samples whose captions are drawn from.
        seed: of the draws.
        se: report ``r_precision_se`` too, Wilson's error of a share of generated images, as if they were independent:
            of several images of one caption it is too small.

    Raises:
        NotEnoughSamples: at compute or freeze, with fewer different captions of real samples than candidates.
        ValueError: where images and texts are of different widths.

    Example:
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([RPrecision(candidates=3)], None, num_features=3, widths={"text": 3})
        >>> texts, captions = torch.eye(3), torch.tensor([11, 22, 33])
        >>> metric.update(Features(texts, text=texts, captions=captions), real=True)
        >>> images = torch.tensor([[9.0, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 0.0, 1.0]])  # the last one of the wrong text
        >>> metric.update(Features(images, text=texts, captions=captions), real=False)
        >>> round(metric.compute()["r_precision_features"].item(), 3)
        0.667
    """

    candidates: int = 100
    r: int = 1
    most: int = 1000
    seed: int = 0
    se: bool = field(default=False, kw_only=True)
    _pool: CaptionPool | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "r_precision"
    group: ClassVar[str] = "text"
    paper: ClassVar[str] = "Xu et al., CVPR 2018"

    def __post_init__(self) -> None:
        check_integer("RPrecision candidates", self.candidates, least=2)
        check_integer("RPrecision r", self.r, least=1, most=self.candidates)
        check_integer("RPrecision most", self.most, least=self.candidates)
        check_integer("RPrecision seed", self.seed, least=0, most=2**32 - 1)
        check_flag("RPrecision se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        share = Scalar("r_precision", "R-precision", "higher", kind="share")
        return (share, error_of(share, AT_THIS_N)) if self.se else (share,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        d = self._width(spec)
        fake = self._retrieved(spec) if self._is_bound else Bank(d, captions=True, beside=((TEXT, d),))
        return {"real": (self._texts(spec),), "fake": (fake,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(self.candidates, self._named, "more samples with captions of their own, or fewer candidates")
        sides.fake.require(1, "RPrecision")

    def prepares(self, spec: Spec) -> Prepared:
        return {"captions": torch.empty(0, dtype=torch.int64), "text": torch.empty(0, self._width(spec))}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        kept = side.gather(self._texts(spec))
        places = first_places(kept["captions"])
        if len(places) < self.candidates:
            raise NotEnoughSamples(
                f"{self._named} needs {self.candidates} different captions, got {len(places)} of "
                f"{len(kept['captions'])} real samples. Remedy: fewer `candidates`, or a larger `most`."
            )
        return {"captions": kept["captions"][places], "text": kept["rows"][places]}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        captions, text = prepared["captions"], prepared["text"]
        known = len(first_places(captions))
        if not len(captions) == len(text) == known or not self.candidates <= known <= min(self.most, num_samples):
            raise ValueError(
                f"expected {self.candidates} to {min(self.most, num_samples)} different captions with their texts, got "
                f"{len(captions)} captions, {known} of them different, and {len(text)} texts."
            )

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> RPrecision:  # noqa: ARG002
        pool = None if side is None else CaptionPool(prepared["captions"], prepared["text"], self.seed)
        return replace(self, _is_bound=True, _pool=pool)

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        images, found = sides.fake[self._retrieved(sides.spec)]["counts"].double()
        return dict(zip(self.keys, (found / images, share_error_of(found / images, float(images)))))

    @property
    def _named(self) -> str:
        return f"RPrecision(candidates={self.candidates})"

    def _width(self, spec: Spec) -> int:
        """Return the width of images and texts."""
        images, texts = width(spec, "RPrecision"), width(spec, "RPrecision", TEXT)
        if images != texts:
            raise ValueError(
                f"RPrecision: expected images and texts of one width, got {images} and {texts}. Remedy: an encoder of "
                "both, whose features can be compared."
            )
        return images

    def _texts(self, spec: Spec) -> Bank:
        return Bank(self._width(spec), capacity=self.most, column=TEXT, captions=True)

    def _retrieved(self, spec: Spec) -> Retrieved:
        return Retrieved(self._width(spec), self.candidates, self.r, self.most, self.seed, self._pool)


def first_places(captions: Tensor) -> Tensor:
    """Return where each different caption comes first, by ascending captions.

    Example:
        >>> first_places(torch.tensor([7, 5, 7, 5, 6]))
        tensor([1, 4, 0])
    """
    order = captions.argsort(stable=True)
    ascending = captions[order]
    is_first = torch.ones_like(ascending, dtype=torch.bool)
    is_first[1:] = ascending[1:] != ascending[:-1]
    return order[is_first]
