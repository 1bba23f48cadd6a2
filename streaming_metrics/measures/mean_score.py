"""Mean score: that of a scorer of images with their captions, with an error clustered by prompt.

Y. Kirstain et al., "Pick-a-Pic: an open dataset of user preferences for text-to-image generation", NeurIPS 2023
(PickScore); X. Wu et al., "Human preference score v2", arXiv:2306.09341 (HPSv2); J. Xu et al., "ImageReward: learning
and evaluating human preferences for text-to-image generation", NeurIPS 2023; Z. Lin et al., "Evaluating text-to-visual
generation with image-to-text generation", ECCV 2024 (VQAScore). The error is that of G. Cameron and L. Miller, "A
practitioner's guide to cluster-robust inference", Journal of Human Resources 2015.
Parity target: the scorers' own packages, image by image; for the error, the same formula in NumPy.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from streaming_metrics.arguments import check_integer
from streaming_metrics.measures.base import BiasWarning, Measure, Scalar, width
from streaming_metrics.measures.error_scalars import error_of
from streaming_metrics.statistics.prompt_sums import PromptSums
from streaming_metrics.verdicts.evidence import Evidence, Influence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Sides
    from streaming_metrics.statistics import Statistic

SCORE = "score"
"""The column of scores, which a :class:`~streaming_metrics.extractors.Scorer` yields."""


@dataclass(frozen=True)
class MeanScore(Measure):
    """Mean score of generated images, each for its caption: PickScore, HPSv2, ImageReward, VQAScore, or one's own.

    ``score = mean_i r(image_i, caption_i)``, in the scorer's own range and units; higher is better. ``score_se`` is its
    standard error over prompts: images of one prompt depend on each other, so that with s_g the sum and n_g the number
    of the scores of prompt g of G, ``score_se² = G/(G−1)·Σ_g (s_g − n_g·score)² / N²``; NaN of one prompt.

    The scorer is an extractor that yields the column ``score``, made of images and the texts beside them:
    ``GenerativeMetrics([MeanScore()], Scorer(r, name="mine"))``, ``update(images, captions=[…])``. Of several, each is
    read by its name, ``MeanScore(on="pick")``, and has its own key, ``score_<tag>``. Real images are not read. It adds
    up: of each prompt a count and a sum are kept, of more than ``prompts`` prompts those of a uniform sample, by which
    the error is then estimated; the mean is of all samples.

    Args:
        prompts: the most prompts to keep, 24 bytes each.

    Raises:
        NotEnoughSamples: at compute, without generated samples.

    Warns:
        BiasWarning: where all images are of one prompt, which leaves no error.

    Example:
        >>> import torch
        >>> from streaming_metrics import Features, GenerativeMetrics
        >>> metric = GenerativeMetrics([MeanScore()], extractor=None, widths={"score": 1})
        >>> scores = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
        >>> metric.update(Features(score=scores), real=False, captions=["a cat", "a cat", "a dog", "a dog"])
        >>> metric.compute()
        {'score_features': tensor(3., dtype=torch.float64), 'score_se_features': tensor(1.5000, dtype=torch.float64)}
    """

    prompts: int = 1 << 14

    label: ClassVar[str] = "score"
    column: ClassVar[str] = SCORE
    group: ClassVar[str] = "text"
    paper: ClassVar[str] = "Kirstain et al., NeurIPS 2023; Xu et al., NeurIPS 2023; Lin et al., ECCV 2024"

    def __post_init__(self) -> None:
        check_integer("MeanScore prompts", self.prompts, least=2)

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        score = Scalar("score", "Mean score", "higher")
        return score, error_of(score, "value over prompts like these")

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        if (found := width(spec, "MeanScore", SCORE)) != 1:
            raise ValueError(f"MeanScore: expected one score a sample, got {found}. Remedy: widths={{'score': 1}}.")
        return {"fake": (self._sums,)}

    def check(self, sides: Sides) -> None:
        sides.fake.require(1, "MeanScore")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        mean, influence = self._of_prompts(sides)
        if len(influence.index) < 2:
            warnings.warn(
                f"MeanScore: all {sides.fake.num_samples} images are of one prompt, which says nothing of others: no "
                "error. Remedy: images of several prompts, each with its own text.",
                BiasWarning,
                stacklevel=2,
            )
        return {"score": mean, "score_se": mean.new_tensor(influence.error)}

    def evidence(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Evidence]:  # noqa: ARG002
        mean, influence = self._of_prompts(sides)
        return {"score": Evidence("score", float(mean), influence, better="higher")}

    @property
    def _sums(self) -> PromptSums:
        return PromptSums(self.prompts)

    def _of_prompts(self, sides: Sides) -> tuple[Tensor, Influence]:
        """Return the mean, and what each prompt adds to it, by its key; of prompts that are not kept, as many are
        taken as samples of the others suggest.
        """
        state = sides.fake[self._sums]
        mean = state["total"] / state["n"]
        prompts = self._sums.read(state)
        samples = prompts.counts.mean()
        values = mean + (prompts.sums - prompts.counts * mean) / samples
        number = round(float(state["n"] / samples))
        return mean, Influence(prompts.keys.cpu().numpy(), values.cpu().numpy(), number)
