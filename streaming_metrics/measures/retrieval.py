"""Image retrieval: how near the generated sample is that a real query finds, and whether it is of the query's class.

Y. Wang, L. Zhang, J. van de Weijer, "Ensembles of generative adversarial networks", NeurIPS workshop 2016.
Parity target: the paper's distances to the nearest generated samples, on scikit-learn's ``NearestNeighbors``. Recall at
k is that of image retrieval; the paper compares distances alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of, share_error_of
from streaming_metrics.measures.influence import error_of_mean
from streaming_metrics.measures.sampled import NO_PLACES, check_places, sampled_places
from streaming_metrics.statistics import Bank, FixedRows, NearestPoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class ImageRetrieval(Measure):
    """Image retrieval: distance from real queries to the nearest generated sample, and recall at k under labels.

    ``retrieval_distance`` and ``retrieval_median``: mean and median over the queries x_i of ``min_j ‖x_i − y_j‖``.
    Range [0, ∞), lower is better: a generator that misses a mode leaves its queries without a near sample. Both fall as
    more samples are generated: compare at equal numbers. With ``classes``, ``recall_at_k`` for each of ``ks``: share
    of queries with a sample of their own class among the k nearest generated ones, range [0, 1], higher is better;
    k samples whose labels say nothing have ``mean_i (1 − (1 − q_i)^k)``, q_i the share of x_i's class. Then both sides
    need ``labels``: ``update(features, labels=…)``.

    Distances are exact, and of equally near samples those with the smallest ids come first, so that the value does not
    depend on order, batches, ranks and devices. Queries are ``most`` real samples, which depend on the ids alone. Once
    the real side is frozen, of generated samples the distances and labels of each query's nearest are kept.

    Args:
        classes: their number, with labels in [0, classes); None leaves recall out.
        ks: after how many samples recall is reported.
        most: real samples that are queries.
        se: report errors of the mean distance and of recall too, over queries, given the generated samples.

    Raises:
        NotEnoughSamples: at compute, with no real sample, or fewer generated ones than the largest k.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([ImageRetrieval(classes=2, ks=(1, 2))], extractor=None, num_features=1)
        >>> metric.update(Features(torch.tensor([[0.0], [4.0]]), labels=torch.tensor([0, 1])), real=True)
        >>> metric.update(Features(torch.tensor([[1.0], [3.0]]), labels=torch.tensor([1, 1])), real=False)
        >>> {key.removesuffix("_features"): value.item() for key, value in metric.compute().items()}
        {'retrieval_distance': 1.0, 'retrieval_median': 1.0, 'recall_at_1': 0.5, 'recall_at_2': 0.5}
    """

    classes: int | None = None
    ks: tuple[int, ...] = (1, 5)
    most: int = 500
    se: bool = field(default=False, kw_only=True)
    _queries: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _labels: Tensor | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "retrieval"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Wang et al., NeurIPS workshop 2016"

    def __post_init__(self) -> None:
        check_integer("ImageRetrieval classes", self.classes, least=1, optional=True)
        check_integer("ImageRetrieval most", self.most, least=1)
        ks = tuple(self.ks if isinstance(self.ks, Iterable) else (self.ks,))
        for k in ks:
            check_integer("ImageRetrieval ks", k, least=1)
        if not ks or len(set(ks)) < len(ks):
            raise ValueError(f"ImageRetrieval ks: expected one or several, all different, got {ks}. Remedy: ks=(1, 5).")
        object.__setattr__(self, "ks", tuple(map(int, ks)))
        check_flag("ImageRetrieval se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        family = "Distance from real to the nearest generated"
        distances = (
            Scalar("retrieval_distance", "Mean distance to the nearest generated", "lower", family, kind="positive"),
            Scalar("retrieval_median", "Median distance to the nearest generated", "lower", family),
        )
        title = "Recall of retrieval"
        recalls = [Scalar(f"recall_at_{k}", f"Recall at {k}", "higher", title, kind="share") for k in self.ks]
        values = distances if self.classes is None else (*distances, *recalls)
        told = [value for value in values if value.key != "retrieval_median"] if self.se else []
        return (*values, *(error_of(value, "value over queries, given the generated samples") for value in told))

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(classes=1, ks=(1, 5, 10), se=True).scalars

    @property
    def fixed(self) -> Role | None:
        return "real"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"real": (bank,), "fake": (self._nearest(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        sides.real.require(1, "ImageRetrieval")
        sides.fake.require(self._k, f"ImageRetrieval(ks={self.ks})", "more generated samples, or smaller `ks`")

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"places": NO_PLACES}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        side.require(1, "ImageRetrieval")
        return {"places": sampled_places(side, self._bank(spec), self.most)}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        check_places(prepared, num_samples, self.most)

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> ImageRetrieval:
        if side is None:
            return replace(self, _is_bound=True)
        queries = {key: column[prepared["places"]] for key, column in side[self._bank(spec)].items()}
        return replace(self, _is_bound=True, _queries=FixedRows(queries["rows"]), _labels=queries.get("labels"))

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        nearest = sides.fake[self._nearest(sides.spec)]
        distances = nearest["squared"][:, 0].sqrt()
        values = {"retrieval_distance": distances.mean(), "retrieval_median": distances.quantile(0.5)}
        errors = {"retrieval_distance_se": error_of_mean(distances)}
        if self._labels is not None:
            is_relevant = nearest["labels"] == self._labels.to(distances.device).unsqueeze(1)
            recalls = {f"recall_at_{k}": is_relevant[:, :k].any(1).double().mean() for k in self.ks}
            values |= recalls
            errors |= {f"{key}_se": share_error_of(recall, len(distances)) for key, recall in recalls.items()}
        return values | errors if self.se else values

    @property
    def _k(self) -> int:
        return 1 if self.classes is None else max(self.ks)

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "ImageRetrieval"), labels=self.classes)

    def _nearest(self, spec: Spec) -> NearestPoints:
        return NearestPoints(width(spec, "ImageRetrieval"), self._k, self.classes, self.most, self._queries)
