"""Decider: whether an epoch is better than the best so far, with as few generated samples as that takes."""

from __future__ import annotations

import warnings
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics import Signature
from streaming_metrics.measures.base import BiasWarning, Measure, NotEnoughSamples, Scalar
from streaming_metrics.measures.keys import declare, parse_key
from streaming_metrics.monitor.checks import refuse
from streaming_metrics.monitor.evidence_state import best_state, restored_best
from streaming_metrics.monitor.finalists import Finalists
from streaming_metrics.monitor.rehearsal import refuse_too_few
from streaming_metrics.monitor.verdict_log import VerdictLog
from streaming_metrics.verdicts.looks import looks
from streaming_metrics.verdicts.sequential import Sequential

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.monitor.settings import Settings
    from streaming_metrics.verdicts.evidence import Evidence
    from streaming_metrics.verdicts.paired import Comparison

CODES = {"better": 1.0, "worse": -1.0}


class Decider:
    """Decider of a training, alike on every rank: looks at generated samples on the way, and follows the best epoch.

    Looks are at the first N_k ids, whatever the number of ranks; rank 0's comparison decides for all.

    Args:
        settings: of the monitor.
        metric: with a measure whose score decides.

    Attributes:
        key: of that score, as it is reported.
        log: of the verdicts so far.
        finalists: the best epochs, to be measured again.

    Raises:
        ValueError: where the score has no evidence, or there are too few samples for it.
    """

    def __init__(self, settings: Settings, metric: GenerativeMetrics) -> None:
        self.settings, self.key = settings, reported_key(settings.decide or "", metric.keys)
        measure, spec = metric.measure_of(self.key)
        _refuse_without_evidence(measure, self.key)
        least = measure.least_compared(spec)
        refuse(settings.num_samples < least, _TOO_FEW.format(settings.num_samples, measure.label, least))
        planned = [n for n in looks(settings.num_samples, least) if _is_defined(metric, n) or n == settings.num_samples]
        self._course = Sequential(planned, settings.alpha)
        self.log, self.finalists = VerdictLog(self.key, settings.num_samples), Finalists(settings.rescore)
        self._latest: Evidence | None = None
        self._of = ""
        self._waiting: dict[int, Mapping[Any, Any] | None] = {}
        scalar = parse_key(self.key).scalar
        title = scalar.title or scalar.key
        declare(
            [
                Scalar(self.keys[0], f"{title}: verdict"),
                Scalar(self.keys[1], "Samples that a verdict took"),
                Scalar(self.keys[2], f"{title}, decided", scalar.better, scalar.family or title),
            ],
            measure.group,
        )

    @property
    def keys(self) -> tuple[str, str, str]:
        """The keys of the verdict, of the samples that it took, and of the value that it decides."""
        return f"{self.key}_verdict", f"{self.key}_samples", f"{self.key}_decided"

    @property
    def alpha(self) -> float:
        """The error rate of one comparison."""
        return self._course.alpha

    def begin(self, measurements: int | None) -> None:
        """Begin a fit.

        Args:
            measurements: how many there are at most; None where that is not known.

        Raises:
            ValueError: where alpha is that of a whole training, whose length is not known.
        """
        if self.settings.alpha_over == "training":
            if measurements is None:
                raise ValueError(_ENDLESS)
            self._course.alpha = self.settings.alpha / max(1, measurements - 1)

    def stops(self, metric: GenerativeMetrics) -> Iterator[int]:
        """Yield up to how many samples to generate, and look at them in between, until it is decided; collective.

        Real images that are only just being read cannot be compared with: then all samples are generated, and what
        each look needs is kept until :meth:`conclude`.
        """
        self._waiting, self.log.generated = {}, self.settings.num_samples
        if metric.is_frozen:
            self._refuse_others(metric)
        self._course.begin()
        if not metric.is_frozen:
            for n in self._course.looks:
                yield n
                self._waiting[n] = metric.generated_for(self.key) if n < self.settings.num_samples else None
            return
        while (n := self._course.next_look) is not None:
            self.log.generated = n
            yield n
            self._look(metric, None)

    def conclude(self, metric: GenerativeMetrics, epoch: int) -> dict[str, Tensor]:
        """Return the values of the verdict, of samples that are all there, and note it; collective.

        Args:
            metric: before its real side is frozen, if it was not.
            epoch: that was measured.
        """
        if self._waiting:
            self._refuse_others(metric)
        while self._waiting and (n := self._course.next_look) is not None:
            self._look(metric, self._waiting[n])
        self._waiting = {}
        outcome = self._course.end(f"epoch {epoch}")
        self.log.note(epoch, outcome)
        assert self._latest
        self.finalists.keep(epoch, self._latest.value, self._latest.better)
        told = CODES.get(outcome.verdict, 0.0), float(self.log.generated), outcome.decided
        return {key: torch.tensor(value, dtype=torch.float64) for key, value in zip(self.keys, told)}

    def state_dict(self) -> dict[str, Any]:
        """Return the best's evidence and the verdicts so far, as tensors and plain values."""
        return {"of": self._of, "best": best_state(self._course.best), "log": self.log.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state_dict` returned."""
        self.log.load_state_dict(state["log"])
        self._of, self._course.best = state["of"], restored_best(state["best"])

    def _look(self, metric: GenerativeMetrics, generated: Mapping[Any, Any] | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiasWarning)  # of few samples, which the looks are chosen for
            evidence = self._latest = metric.evidence_of(self.key, generated)
        comm = metric.ranks()
        self._course.take(evidence, shared(self._compared(evidence, comm), comm))

    def _compared(self, evidence: Evidence, comm: Comm) -> Comparison | None:
        try:
            return self._course.compare(evidence)
        except ValueError as error:
            self._forget_best(comm, str(error))
            return None

    def _refuse_others(self, metric: GenerativeMetrics) -> None:
        """Forget a best of a fit before whose score was made otherwise, or of other real images; collective."""
        before, self._of = self._of, self._told(metric)
        if self._course.best and before != self._of:
            self._forget_best(metric.ranks(), f"the best so far is of {before or 'others'}, and this one of {self._of}")

    def _told(self, metric: GenerativeMetrics) -> str:
        """Return all that evidence does not say and that two scores must share to be compared; collective."""
        measure, signature = metric.measure_of(self.key)[0], Signature.parse(metric.signature())
        real = metric.samples_digest("real") or metric.frozen_digest("real")
        looked = "+".join(map(str, self._course.looks))
        network = f"{signature.extractor}, {signature.resize}, {signature.precision}"
        return f"{measure.describe()} ({network}) at {looked} samples against real images {real}"

    def _forget_best(self, comm: Comm, why: str) -> None:
        if comm.rank == 0:
            warnings.warn(f"decide={self.key!r}: this epoch is the first of others: {why}", stacklevel=2)
        self._course.forget()


def shared(comparison: Comparison | None, comm: Comm) -> Comparison | None:
    """Return rank 0's comparison, the same bits on every rank; None where all have none; collective."""
    if comparison is None or comm.world_size == 1:
        return comparison
    names = [name for name, value in zip(comparison.__match_args__, astuple(comparison)) if isinstance(value, float)]
    own = torch.tensor([getattr(comparison, name) for name in names], dtype=torch.float64, device="cpu")
    return replace(comparison, **dict(zip(names, comm.broadcast(own).tolist())))


def reported_key(decide: str, keys: Iterable[str]) -> str:
    """Return the key that is meant by a score's name: its own, or with the tag of the one network that reports it.

    Example:
        >>> reported_key("fid", ["fd_dinov2", "fd_corrected_dinov2", "kd_dinov2"]), reported_key("kid", ["kid"])
        ('fd_dinov2', 'kid')
    """
    keys = list(keys)
    found = [key for key in keys if key == decide] or [key for key in keys if parse_key(key).scalar.key == decide]
    refuse(len(found) != 1, f"decide={decide!r}: expected one of {keys}, got {found or 'none of them'}.")
    return found[0]


def _is_defined(metric: GenerativeMetrics, num_samples: int) -> bool:
    """Return whether all measures, which an early stop leaves with so few generated samples, are defined on them."""
    try:
        refuse_too_few(metric.measures, {"fake": num_samples})
    except NotEnoughSamples:
        return False
    return True


def _refuse_without_evidence(measure: Measure, key: str) -> None:
    score, has_none = parse_key(key).scalar.key, type(measure).evidence is Measure.evidence
    is_on = any(scalar.spread_of == score and scalar.about for scalar in measure.scalars)
    remedy = "FID(se=True) or KID(se=True)" if has_none else f"{type(measure).__name__}(se=True)"
    refuse(
        has_none or not is_on,
        f"decide={key!r}: expected a measure that knows each sample's influence, got {measure.describe()}. Remedy: "
        f"{remedy} among the measures.",
    )


_TOO_FEW = (
    "decide= with num_samples={}: {} cannot be compared with so few. Remedy: num_samples={} or more, better twice as "
    "many, or fewer features."
)
_ENDLESS = (
    'alpha_over="training": expected a training whose number of measurements is known, got one without an end. Remedy: '
    'Trainer(max_epochs=…), or alpha_over="comparison".'
)
