"""Mean score: the mean, its error over prompts, what is kept of many prompts, and scorers of images and captions."""

# ruff: noqa: ARG005 (a scorer takes images and captions)

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streaming_metrics import FID, BiasWarning, Features, GenerativeMetrics, MeanScore, NotEnoughSamples, caption_hashes
from streaming_metrics.extractors import ModuleExtractor, Scorer

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning"),
]


def drawn(prompts: int, each: int, seed: int = 0, between: float = 1.0) -> tuple[Tensor, list[str]]:
    """Scores that prompts share a part of, one to ``each`` of a prompt, in no order."""
    rng = np.random.default_rng(seed)
    of_prompt = rng.choice(prompts, size=prompts * each)
    scores = 20 + between * rng.normal(size=prompts)[of_prompt] + rng.normal(size=len(of_prompt))
    return torch.from_numpy(scores).unsqueeze(1), [f"prompt {number}" for number in of_prompt]


def scored(scores: Tensor, captions: Sequence[str], **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics([MeanScore(**options)], extractor=None, widths={"score": 1})
    for start in range(0, len(scores), 50):
        part = slice(start, start + 50)
        metric.update(Features(score=scores[part]), real=False, captions=captions[part])
    return metric


def clustered(scores: Tensor, captions: Sequence[str]) -> float:
    """The cluster-robust error of an intercept, of NumPy's sums prompt by prompt."""
    values, names = scores.flatten().numpy(), np.array(captions)
    sums = [(values[names == name] - values.mean()).sum() for name in np.unique(names)]
    return math.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / len(values)


# --- the mean and its error -------------------------------------------------------------------------------------------


def test_the_error_is_over_prompts() -> None:
    scores, captions = drawn(prompts=40, each=5)
    values = scored(scores, captions).compute()
    assert values["score_features"].item() == pytest.approx(scores.mean().item(), rel=1e-12)
    assert values["score_se_features"].item() == pytest.approx(clustered(scores, captions), rel=1e-9)
    assert values["score_se_features"] > 1.5 * scores.std() / len(scores) ** 0.5


def test_of_prompts_that_come_once_it_is_the_usual_one() -> None:
    scores = drawn(prompts=100, each=1)[0]
    values = scored(scores, [str(number) for number in range(100)]).compute()
    assert values["score_se_features"].item() == pytest.approx(scores.std().item() / 10, rel=1e-9)


def test_more_prompts_than_are_kept_leave_the_mean_as_it_is_and_the_error_about_so() -> None:
    scores, captions = drawn(prompts=900, each=3)
    bounded = scored(scores, captions, prompts=300).compute()
    assert bounded["score_features"].item() == pytest.approx(scores.mean().item(), rel=1e-12)
    assert bounded["score_se_features"].item() == pytest.approx(clustered(scores, captions), rel=0.1)


def test_one_prompt_says_nothing_of_others() -> None:
    metric = scored(torch.ones(4, 1).double(), ["a cat"] * 4)
    assert metric.compute()["score_features"] == 1
    with pytest.warns(BiasWarning, match="images are of one prompt, which says nothing of others: no error"):
        assert metric.compute()["score_se_features"].isnan()


def test_without_samples_there_is_no_mean() -> None:
    with pytest.raises(NotEnoughSamples, match="MeanScore needs at least 1 fake samples, got 0"):
        scored(torch.ones(0, 1), []).compute()


def test_a_score_is_one_number() -> None:
    with pytest.raises(ValueError, match="MeanScore: expected one score a sample, got 3"):
        GenerativeMetrics([MeanScore()], extractor=None, widths={"score": 3})
    with pytest.raises(ValueError, match="MeanScore needs score, and this extractor yields none"):
        GenerativeMetrics([MeanScore()], extractor=None, num_features=3)


def test_captions_may_be_hashes() -> None:
    scores, captions = drawn(prompts=10, each=3)
    metric = GenerativeMetrics([MeanScore()], extractor=None, widths={"score": 1})
    metric.update(Features(score=scores, captions=caption_hashes(captions)), real=False)
    assert metric.compute() == scored(scores, captions).compute()


# --- evidence ---------------------------------------------------------------------------------------------------------


def evidence(scores: Tensor, captions: Sequence[str], **options: Any) -> Any:
    metric = scored(scores, captions, **options)
    metric.compute()
    return metric.evidence["score_features"]


def test_two_models_are_compared_prompt_by_prompt() -> None:
    one, captions = drawn(prompts=40, each=4)
    other = one + 0.1 + 0.05 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1), dtype=one.dtype)
    first, second = evidence(one, captions), evidence(other, captions)
    assert second.better == "higher"
    assert first.error == pytest.approx(clustered(one, captions), rel=1e-9)
    paired = second.fake.minus(first.fake)
    assert paired.error == pytest.approx(clustered(other - one, captions), rel=1e-9)
    assert paired.error < first.error / 10


def test_the_same_prompts_are_kept_of_two_models() -> None:
    one, captions = drawn(prompts=90, each=2)
    first, second = evidence(one, captions, prompts=20), evidence(-one, captions, prompts=20)
    assert len(second.fake.minus(first.fake).index) == 20


# --- scorers ----------------------------------------------------------------------------------------------------------

IMAGES = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WORDS = ["a cat", "a dog", "a cat", "an owl", "a dog", "a cat"]


def brightness(images: Tensor, captions: list[str]) -> Tensor:
    return images.float().mean((1, 2, 3)) + torch.tensor([len(words) for words in captions])


class Reward(nn.Module):
    """A reward model of the user's, (N, 1) in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor, captions: list[str]) -> Tensor:
        return (self.scale * brightness(images, captions).unsqueeze(1)).half()


def test_several_scorers_have_their_own_names() -> None:
    scorers = {"a": Scorer(brightness, "Brightness"), "b": Scorer(Reward(), "my-reward")}
    pixels = ModuleExtractor(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), tag="mean", value_range=(0, 1))
    metric = GenerativeMetrics([FID(), MeanScore(on="a"), MeanScore(on="b")], {"mean": pixels, **scorers})
    metric.update(IMAGES, real=True)
    metric.update(IMAGES, real=False, captions=WORDS)
    values = metric.compute()
    expected = brightness(IMAGES, WORDS).double()
    assert values["score_brightness"].item() == pytest.approx(expected.mean().item(), rel=1e-6)
    assert values["score_my_reward"].item() == pytest.approx(expected.mean().item() / 2, rel=1e-3)
    assert values["score_se_brightness"].item() == pytest.approx(clustered(expected, WORDS), rel=1e-5)
    assert "fd_mean" in values


def test_real_images_are_not_scored() -> None:
    asked: list[int] = []
    scorer = Scorer(lambda images, captions: asked.append(len(images)) or brightness(images, captions), "counting")
    metric = GenerativeMetrics([MeanScore()], scorer)
    metric.update(IMAGES, real=True)
    metric.update(IMAGES, real=True, captions=WORDS)
    assert asked == []


def test_scores_of_modules_are_told_apart_by_their_weights() -> None:
    one, other = Reward(), Reward()
    other.scale.data += 1
    scorers = [Scorer(one, "r"), Scorer(other, "r"), Scorer(brightness, "r"), Scorer(brightness, "r", version="2")]
    assert len({scorer.fingerprint for scorer in scorers}) == 4
    assert not scorers[0].training
    assert "|ext:r-v1|resize:own|" in GenerativeMetrics([MeanScore()], Scorer(brightness, "r", "v1")).signature()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images, captions: images.float().mean((2, 3)), r"expected a tensor of 6 scores, \(6,\), got \(6, 3\)"),
        (lambda images, captions: [1.0] * 6, "got list"),
        (lambda images, captions: images.float().mean() / 0 * torch.ones(6), "non-finite score"),
    ],
)
def test_what_is_no_score_an_image_is_refused(function: Any, message: str) -> None:
    metric = GenerativeMetrics([MeanScore()], Scorer(function, "wrong"))
    with pytest.raises(ValueError, match=message):
        metric.update(IMAGES, real=False, captions=WORDS)
    assert metric.num_samples("fake") == 0


def test_a_scorer_is_a_function_with_a_name() -> None:
    with pytest.raises(TypeError, match="Scorer: expected a function of images and captions, got int"):
        Scorer(3, "three")  # pyright: ignore[reportArgumentType]
    for name in ("", "--", "a|b"):
        with pytest.raises(ValueError, match="Scorer name: expected letters or digits"):
            Scorer(brightness, name)
