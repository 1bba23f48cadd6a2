"""Authenticity: share of generated samples that are not copies of training samples.

A. M. Alaa, B. van Breugel, E. Saveliev, M. van der Schaar, "How faithful is your synthetic data? Sample-level metrics
for evaluating and auditing generative models", ICML 2022.
Parity target: dgm-eval's AuthPct (G. Stein et al., "Exposing flaws of generative model evaluation metrics and their
unfair treatment of diffusion models", NeurIPS 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag
from streaming_metrics.measures.base import Measure, Scalar, check_squared_radii, width
from streaming_metrics.measures.error_scalars import AT_THIS_N, error_of, share_error_of
from streaming_metrics.pairwise import Radii
from streaming_metrics.statistics import Authentic, Bank, FixedRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic


@dataclass(frozen=True)
class AuthPct(Measure):
    """AuthPct: percentage of generated samples that are authentic.

    ``100·mean_j [d(t*, nn(t*)) < d(y_j, t*)]``: t* is the training sample nearest to the generated y_j, nn(t*) the
    training sample nearest to t* among the others, d the Euclidean distance. Range [0, 100], higher is better: copies
    of training samples score 0. Distances are compared exactly, so that the value does not depend on order, batches,
    ranks and devices; of several training samples that are equally near, t* is the one with the smallest id.

    Needs the role ``train``: ``update(features, role="train")``, ``(N, D)``; real samples are not read. Once the
    training side is frozen, of generated samples two counts are kept.

    Args:
        se: report ``authpct_se`` too, Wilson's error of a share of generated samples, as if they were independent.

    Raises:
        NotEnoughSamples: at compute, with fewer than 2 training samples or no generated one.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([AuthPct()], extractor=None, num_features=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [5.0]]), role="train")
        >>> metric.update(torch.tensor([[0.0], [-1.5], [6.0], [2.5]]), real=False)  # -1.5 and 2.5 are authentic
        >>> metric.compute()
        {'authpct_features': tensor(50., dtype=torch.float64)}
    """

    se: bool = field(default=False, kw_only=True)
    _train: FixedRows | None = field(default=None, repr=False, compare=False, kw_only=True)
    _squared: Tensor | None = field(default=None, repr=False, compare=False, kw_only=True)
    _is_bound: bool = field(default=False, repr=False, kw_only=True)

    label: ClassVar[str] = "authpct"
    group: ClassVar[str] = "copying"
    paper: ClassVar[str] = "Alaa et al., ICML 2022"

    def __post_init__(self) -> None:
        check_flag("AuthPct se", self.se)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        share = Scalar("authpct", "Authentic samples (%)", "higher", kind="percent")
        return (share, error_of(share, AT_THIS_N)) if self.se else (share,)

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        return cls(se=True).scalars

    @property
    def fixed(self) -> Role | None:
        return "train"

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = self._bank(spec)
        return {"train": (bank,), "fake": (self._authentic(spec) if self._is_bound else bank,)}

    def check(self, sides: Sides) -> None:
        sides["train"].require(2, "AuthPct", 'update(…, role="train") with more of them before compute()')
        sides.fake.require(1, "AuthPct")

    def prepares(self, spec: Spec) -> Prepared:  # noqa: ARG002
        return {"squared": torch.empty(0, dtype=torch.float64)}

    def prepare(self, spec: Spec, side: Side) -> Prepared:
        return {"squared": side.reduce(self._bank(spec), Radii("train", 1))}

    def check_prepared(self, prepared: Prepared, num_samples: int) -> None:
        check_squared_radii(prepared["squared"], num_samples)

    def bind(self, spec: Spec, side: Side | None, prepared: Prepared) -> AuthPct:
        if side is None:
            return replace(self, _is_bound=True)
        train = FixedRows(side[self._bank(spec)]["rows"])
        return replace(self, _is_bound=True, _train=train, _squared=prepared["squared"])

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        authentic = self._authentic(sides.spec)
        share = authentic.share_of(sides.fake[authentic])
        error = share_error_of(share, sides.fake.num_samples)
        return {key: 100 * value for key, value in zip(self.keys, (share, error))}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "AuthPct"))

    def _authentic(self, spec: Spec) -> Authentic:
        return Authentic(width(spec, "AuthPct"), self._train, self._squared)
