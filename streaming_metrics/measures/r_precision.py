"""R-precision: share of generated images whose own caption is found among others.

T. Xu et al., "AttnGAN: fine-grained text to image generation with attentional generative adversarial networks", CVPR
2018. Parity target: the paper's protocol, the caption among 99 drawn ones; the encoders are the user's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import Measure, NotEnoughSamples, Scalar, width
from streaming_metrics.statistics import Bank, Sums
from streaming_metrics.statistics.bank import check_captions
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Features, Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import State, Statistic
    from streaming_metrics.statistics.sums import Shapes

TEXT = "text"
ROUNDING = 1e-12
"""Cosines so close are equal: in float64 they are rounded at 1e-15, another way in batches of another size."""


@dataclass(frozen=True, eq=False)
class CaptionPool:
    """Captions among which those of generated images are looked for.

    Args:
        captions: ``(P,)`` int64, different hashes.
        text: ``(P, D)``, their embeddings.
        seed: of the draws.
    """

    captions: Tensor
    text: Tensor
    seed: int

    def others(self, captions: Tensor, n: int) -> Tensor:
        """Return the places ``(N, n)`` of n captions for each given one: other ones, drawn by its hash and the seed."""
        drawn_for = hashed(captions ^ hashed(torch.tensor(self.seed))).unsqueeze(1)
        keys = hashed(self.captions ^ drawn_for)
        own = self.captions == captions.unsqueeze(1)
        return keys.masked_fill_(own, torch.iinfo(torch.int64).max).topk(n, largest=False).indices

    def to(self, device: torch.device) -> CaptionPool:
        """Return the pool on a device."""
        return (
            self
            if self.text.device == device
            else CaptionPool(self.captions.to(device), self.text.to(device), self.seed)
        )


@dataclass(frozen=True)
class Retrieved(Sums):
    """Numbers of images that have passed, and of those whose own caption was found: ``counts (2,) int64``.

    Args:
        num_features: D.
        candidates, r, most, seed: as of :class:`RPrecision`.
        pool: the same on every rank; None before there is one, when there are no counts.
    """

    num_features: int
    candidates: int
    r: int
    most: int
    seed: int
    pool: CaptionPool | None = field(default=None, compare=False, repr=False)

    column = "pool"
    rounds: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"retrieved_{self.num_features}_{self.candidates}_{self.r}_{self.most}_{self.seed}"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, TEXT, "captions"

    @property
    def shapes(self) -> Shapes:
        return {"counts": ((2,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        assert self.pool is not None
        images, text = (normalized(self.rows_of(features, column)) for column in (self.column, TEXT))
        pool, captions = self.pool.to(images.device), check_captions(features.captions, len(images))
        others = (images @ normalized(pool.text).T).gather(1, pool.others(captions, self.candidates - 1))
        own = (images * text).sum(1, keepdim=True)
        found = (others >= own - ROUNDING).sum(1) < self.r
        return {"counts": torch.stack([torch.ones_like(found).sum(), found.sum()])}

    def check(self, state: State) -> None:
        super().check(state)
        images, found = state["counts"].tolist()
        self._expect(0 <= found <= images, "no more found captions than images")

    def bounds(self, state: State) -> tuple[float, float]:
        images = float(state["counts"][0])
        return (images, images) if self.pool is not None else (0, torch.inf)


@dataclass(frozen=True)
class RPrecision(Measure):
    """R-precision: share of generated images whose own caption is among the r nearest of ``candidates`` captions.

    Nearest by the cosine of an image's features, ``pool (N, D)``, and a caption's embedding, ``text (N, D)``, of two
    encoders that were trained together (CLIP, the paper's DAMSM): the number belongs to them. The other candidates are
    drawn from the captions of real samples, by a hash of the image's own caption and the seed, so that they are the
    same whatever else is generated; the own caption is never among them. Ties count against the image. Range [0, 1],
    higher is better; 0.01·r by chance.

    Both sides need ``text`` and ``captions``, int64 ``(N,)``, see :func:`~streaming_metrics.caption_hashes`:
    ``update(Features(pool, text=…), captions=…)``; a metric of given features is told the width, by
    ``widths={"text": D}``. Of real samples, ``most`` captions are kept, which depend on the ids alone; of several
    samples with one caption, the first id's. Once the real side is frozen, of generated samples two counts are kept.

    Args:
        candidates: captions among which the own one is looked for, itself among them; the paper's 100.
        r: how many of the nearest count; the paper's 1.
        most: real samples whose captions are drawn from.
        seed: of the draws.

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

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("r_precision", "R-precision", "higher"),)

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
        return {"r_precision": found / images}

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


def normalized(rows: Tensor) -> Tensor:
    """Return rows of norm 1, float64; zeros stay, and are as near to anything."""
    rows = rows.float().double()  # as a bank holds them, so that both forms compare the same
    return torch.nn.functional.normalize(rows, dim=1, eps=torch.finfo(torch.float64).tiny)
