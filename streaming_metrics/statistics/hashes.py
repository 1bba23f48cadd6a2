"""Hashes of samples, 64 bits, by which repeats are found: equal for equal bytes, whatever the batch, layout or device.

A sample's bytes are read as 64-bit words q. Two rounds of odd weights, mixed by a shift between them, and SplitMix64's
finaliser: ``t = (q ^ w1)·w2; t ^= t >>> 32; h = Σ t·w2``, modulo 2⁶⁴. Without the shift, the top bytes of words would
reach the top bits of the sum alone, and images that differ there would collide.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from streaming_metrics.statistics.base import state_device
from streaming_metrics.statistics.index import hashed, shifted

CACHED_WORDS, WORDS = 1 << 16, 1 << 22
"""Words in a block on the CPU, half a MiB, where each pass over them finds them in the cache; and elsewhere."""


def hashes_of(samples: Tensor) -> Tensor:
    """Return a hash int64 ``(N,)`` of the bytes and the shape of each of the samples ``(N, …)``.

    Any dtype, stride and offset, on the samples' device. Among 10⁶ different samples the odds of one collision are
    3e-8.

    Example:
        >>> images = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
        >>> images[1, 2, 7, 7] = 1
        >>> hashes = hashes_of(images)
        >>> (hashes == hashes[0]).tolist()
        [True, False, True]
    """
    words = _words(samples.detach().to(state_device(samples.device)))
    n, length = words.shape
    first, second = _weights(1 << length.bit_length(), words.device)
    block = max(1, (CACHED_WORDS if words.device.type == "cpu" else WORDS) // max(1, n))
    total = _salt(tuple(samples.shape[1:]), words.device).repeat(n)
    for start in range(0, length, block):
        part = slice(start, min(start + block, length))
        mixed = (words[:, part] ^ first[part]).mul_(second[part])
        mixed ^= shifted(mixed, 32)
        total += mixed.mul_(second[part]).sum(1)
    return hashed(total)


def _words(samples: Tensor) -> Tensor:
    """Return the bytes of each sample as int64 ``(N, L)``, zeros at the end."""
    pixels = samples.contiguous().unsqueeze(-1).flatten(1).view(torch.uint8)
    if over := pixels.shape[1] % 8:
        pixels = torch.nn.functional.pad(pixels, (0, 8 - over))
    if pixels.storage_offset() % 8 or pixels.data_ptr() % 8:
        pixels = pixels.clone()
    return pixels.view(torch.int64)


@lru_cache(maxsize=4)
def _weights(length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two odd weights ``(length,)`` for each place of a word; those of more words begin with those of fewer."""
    with torch.inference_mode(False):
        place = torch.arange(length, device="cpu")
        first, second = (hashed(place + (seed << 32)) | 1 for seed in (1, 2))
        return first.to(device), second.to(device)


@lru_cache(maxsize=64)
def _salt(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return a number ``(1,)`` for a shape."""
    with torch.inference_mode(False):
        salt = torch.zeros(1, dtype=torch.int64, device="cpu")
        for size in shape:
            salt = hashed(salt ^ size)
        return salt.to(device)
