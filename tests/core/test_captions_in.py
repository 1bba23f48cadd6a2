"""Captions on their way in: texts that come beside images reach the networks that read them, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from extractor_table import Pixels

from streaming_metrics import FID, Features, GenerativeMetrics, RPrecision, caption_hashes
from streaming_metrics.extractors import Extractor, ModuleExtractor
from streaming_metrics.features import Spec
from streaming_metrics.images.conversion import CheckedImages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
WORDS = tuple(f"an image of {'stuff ' * number}" for number in range(8))


class Encoder(Extractor):
    """Encoder of images, by their mean colours, and of texts, by their lengths."""

    name, tag, weights_id, resize, reads_captions = "encoder", "encoder", "1", "native", True

    def __init__(self) -> None:
        super().__init__()
        self.spec = Spec(num_features=3, widths={"text": 3})
        self.read: list[tuple[str, ...] | None] = []

    def extract(self, images: Tensor, captions: tuple[str, ...] | None = None) -> Features:
        self.read.append(captions)
        lengths = None if captions is None else torch.tensor([[len(words), 0.0, 0.0] for words in captions])
        return Features(images.float().mean((2, 3)), text=lengths)


def images(n: int = len(WORDS), seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def reading() -> RPrecision:
    return RPrecision(candidates=2, most=10)


@pytest.mark.parametrize(
    "add",
    [
        lambda metric, **kw: metric.update(images(), captions=WORDS, **kw),
        lambda metric, **kw: metric.update(images(), captions=np.array(WORDS), **kw),
        lambda metric, **kw: metric.update(CheckedImages(images(), captions=WORDS), **kw),
        lambda metric, **kw: metric(images(), captions=list(WORDS), **kw),
    ],
)
def test_texts_beside_images_reach_what_reads_them(add: Callable[..., Any]) -> None:
    encoder = Encoder()
    metric = GenerativeMetrics([reading()], encoder)
    given = GenerativeMetrics([reading()], None, num_features=3, widths={"text": 3})
    for real in (True, False):
        add(metric, real=real)
        columns = encoder(images(), WORDS).columns()
        given.update(Features(**columns, captions=caption_hashes(WORDS)), real=real)
    assert encoder.read[0] == WORDS
    assert list(metric.compute().values()) == list(given.compute().values())


def test_columns_of_texts_are_made_only_where_a_measure_reads_them() -> None:
    encoder = Encoder()
    metric = GenerativeMetrics([FID()], encoder)
    metric.update(images(), real=True)
    metric.update(images(), real=False, captions=WORDS)
    assert encoder.read == [None, None]
    assert metric.readers("fake", "captions") == ()


def test_other_networks_see_no_texts() -> None:
    encoder = Encoder()
    networks = {"encoder": encoder, "pixels": ModuleExtractor(Pixels(), tag="pixels")}
    metric = GenerativeMetrics([FID(on="pixels"), reading()], networks)
    metric.update(images(), real=False, captions=WORDS)
    assert encoder.read == [WORDS]
    assert metric.readers("fake", "captions") == (reading(),)


@pytest.mark.parametrize("captions", [None, caption_hashes(WORDS)])
def test_images_without_texts_are_refused_where_these_are_read(captions: Any) -> None:
    metric = GenerativeMetrics([reading()], Encoder())
    with pytest.raises(
        ValueError, match=r"fake batch .*a text an image, of which encoder makes 'text'.*not their hash"
    ):
        metric.update(images(), real=False, captions=captions)
    assert metric.num_samples("fake") == 0


@pytest.mark.parametrize(
    ("captions", "error", "message"),
    [
        (WORDS[:3], ValueError, "encoder: Expected captions, 8 texts, one an image, got 3"),
        ([*WORDS[:7], 7], TypeError, "captions: expected texts, got 7 among them"),
        ("one", ValueError, "one an image, got 1"),
    ],
)
def test_texts_that_are_not_one_an_image_are_refused(
    captions: Sequence[Any], error: type[Exception], message: str
) -> None:
    metric = GenerativeMetrics([reading()], Encoder())
    with pytest.raises(error, match=message):
        metric.update(images(), real=False, captions=captions)
    assert metric.num_samples("fake") == 0


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        (CheckedImages(images(), captions=WORDS), caption_hashes(WORDS[::-1])),
        (CheckedImages(images(), {"captions": caption_hashes(WORDS[::-1])}, WORDS), None),
        (CheckedImages(images(), {"captions": caption_hashes(WORDS)}), WORDS[::-1]),
    ],
    ids=["hashes apart", "hashes inside", "texts apart"],
)
def test_texts_and_the_hashes_of_others_are_refused(given: CheckedImages, beside: Any) -> None:
    """The network would read one, and the pool of captions would count the other."""
    metric = GenerativeMetrics([reading()], Encoder())
    with pytest.raises(ValueError, match="expected captions once, got texts and the hashes of others"):
        metric.update(given, real=False, captions=beside)
    assert metric.num_samples("fake") == 0
    metric.update(CheckedImages(images(), {"captions": caption_hashes(WORDS)}, WORDS), real=False)


def test_checked_samples_of_the_other_kind_are_refused() -> None:
    clips = torch.stack([images(), images()], 1)
    metric = GenerativeMetrics([FID()], Encoder())
    with pytest.raises(ValueError, match=r"Expected images \(N, 3, H, W\), got \(8, 2, 3, 16, 12\)"):
        metric.update(CheckedImages(clips), real=True)


class Resized(Encoder):
    """Another of the encoders, behind a resize of a name."""

    def __init__(self, name: str, resize: str) -> None:
        super().__init__()
        self.name, self.tag, self.resize = name, name, resize


def test_three_networks_whose_resizes_are_dealt_otherwise_have_another_signature() -> None:
    def signature(*resizes: str) -> str:
        networks = {name: Resized(name, resize) for name, resize in zip("abc", resizes)}
        metric = GenerativeMetrics([FID(on=name) for name in networks], networks)
        return metric.signature()

    dealt = [("x", "y", "y"), ("x", "y", "x"), ("x", "x", "y"), ("x", "x", "x")]
    assert len({signature(*resizes) for resizes in dealt}) == len(dealt)
    assert "|resize:x|" in signature("x", "x", "x")
