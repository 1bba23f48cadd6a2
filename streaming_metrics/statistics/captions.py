"""Captions of samples: hashes by which equal texts are known, and a digest of a whole side's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.statistics.bank import check_captions
from streaming_metrics.statistics.index import hashed
from streaming_metrics.statistics.sums import Shapes, Sums

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.features import Features
    from streaming_metrics.statistics.base import State


def caption_hashes(texts: Iterable[str]) -> Tensor:
    """Return a hash of each text, int64 ``(N,)``: the first 8 bytes of the sha256 of its UTF-8, big-endian and signed.

    The same on every machine and in every version. Texts that differ in a space or a capital letter differ.

    Raises:
        TypeError: where one of them is no string.

    Example:
        >>> caption_hashes(["a cat", "a dog", "a cat"])
        tensor([5900954942076057986, 9060669101138719874, 5900954942076057986])
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"captions: expected texts, got {text!r} among them. Remedy: a list of strings.")
    digests = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
    return torch.tensor(
        [int.from_bytes(digest, "big", signed=True) for digest in digests], dtype=torch.int64, device="cpu"
    )


def hashed_texts(given: Any) -> Any:
    """Return the hashes of texts, of one, of none, or of an array of NumPy's, and anything else as it is: what its
    reader checks.
    """
    texts = texts_in(given)
    return given if texts is None else caption_hashes(texts)


def texts_in(given: Any) -> list[Any] | None:
    """Return texts, one, none, or an array of NumPy's, as a list, some of which may be none; None of anything else.

    Example:
        >>> texts_in("a cat"), texts_in(torch.tensor([7]))
        (['a cat'], None)
    """
    if isinstance(given, str):
        return [given]
    if isinstance(given, np.ndarray) and given.dtype.kind in "UO":
        given = given.tolist()
    is_texts = isinstance(given, list | tuple) and (not given or any(isinstance(one, str) for one in given))
    return list(given) if is_texts else None


@dataclass(frozen=True)
class CaptionDigest(Sums):
    """Digest of the captions of a side, as often as each comes, in whatever order.

    The state is ``sums (3,) int64``: samples, and two sums, modulo 2⁶⁴, of numbers that mix the hash of a caption.

    Example:
        >>> from streaming_metrics.features import Features
        >>> digest = CaptionDigest()
        >>> a, b = (Features(captions=caption_hashes(texts)) for texts in (["a cat", "a dog"], ["a dog", "a cat"]))
        >>> digest.read(digest.sums_of(a)) == digest.read(digest.sums_of(b))
        True
    """

    column = "captions"

    @property
    def name(self) -> str:
        return "caption_digest"

    @property
    def shapes(self) -> Shapes:
        return {"sums": ((3,), torch.int64)}

    def sums_of(self, features: Features) -> State:
        captions = check_captions(self.rows_of(features, "captions"), len(features))
        once = hashed(captions)
        return {"sums": torch.stack([torch.ones_like(once).sum(), once.sum(), hashed(~once).sum()])}

    def check(self, state: State) -> None:
        super().check(state)
        self._expect(state["sums"][0] >= 0, "a number of samples that is not negative")

    def bounds(self, state: State) -> tuple[float, float]:
        n = self.count(state)
        return n, n

    def count(self, state: State) -> int:
        """Return how many samples had a caption."""
        return int(state["sums"][0])

    def read(self, state: State) -> str:
        """Return the digest, 8 hex digits."""
        words = ",".join(map(str, state["sums"].tolist()))
        return hashlib.sha256(words.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class KnownCaptions(CaptionDigest):
    """Digest of the captions of a side that need not have any: of those samples that came with one."""

    column = ""
    is_optional: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return "known_captions"

    def update(self, state: State, features: Features) -> State:
        return state if features.captions is None else super().update(state, features)

    def bounds(self, state: State) -> tuple[float, float]:
        return self.count(state), inf
