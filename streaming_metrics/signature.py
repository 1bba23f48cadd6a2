"""Signature: one line that says how a score came about, which makes it reproducible and comparable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from streaming_metrics.arguments import split_outside

COUNT = r"(\d+|npz-[0-9a-f]{8})"
OTHER = r"\|(?!captions:)[^|:]+:(?:\d+|npz-[0-9a-f]{8})"
CAPTIONS = r"(?:\|captions:([0-9a-f]{8}))?"
EXIF = r"(?:\|exif:(turned))?"
ROLES = rf"\|real:{COUNT}\|fake:{COUNT}((?:{OTHER})*)"
PATTERN = rf"([^|]+)\|ext:([^|]+)\|resize:([^|]+){ROLES}{CAPTIONS}{EXIF}\|([^|]+)\|v([^|]+)"


def library_version() -> str:
    """Return the installed version of this library."""
    try:
        return version("streaming-metrics")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Signature:
    """How a score came about; scores compare where their signatures agree.

    Args:
        measures: each with the parameters that are not its defaults.
        extractor: name and the first digits of the weights' sha256.
        resize: named resize and side.
        real, fake: numbers of samples; ``"npz-<digest>"`` for moments of another program that do not say.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``.
        version: of this library.
        others: numbers of samples of further roles, e.g. ``(("train", 50000),)``.
        captions: digest of the captions that samples were generated for, 8 hex digits; empty where they do not matter.
        exif: ``"turned"`` where images are turned as EXIF says; empty where they are taken as they are stored.

    Example:
        >>> signature = Signature(("fid",), "inception-v3-6726825d", "tf1-bilinear-299", 50000, 10000, "fp32", "0.1.0")
        >>> str(signature)
        'fid|ext:inception-v3-6726825d|resize:tf1-bilinear-299|real:50000|fake:10000|fp32|v0.1.0'
        >>> Signature.parse(str(signature)) == signature
        True
    """

    measures: tuple[str, ...]
    extractor: str
    resize: str
    real: int | str
    fake: int | str
    precision: str
    version: str
    others: tuple[tuple[str, int | str], ...] = ()
    captions: str = ""
    exif: str = ""

    def __str__(self) -> str:
        named = {"ext": self.extractor, "resize": self.resize, "real": self.real, "fake": self.fake}
        named |= dict(self.others) | {what: told for what in ("captions", "exif") if (told := getattr(self, what))}
        parts = ["+".join(self.measures), *(f"{key}:{value}" for key, value in named.items())]
        return "|".join([*parts, self.precision, f"v{self.version}"])

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Return the signature that printed as ``line``; raise ValueError for any other text."""
        match = re.fullmatch(PATTERN, line.strip())
        if match is None:
            raise ValueError(
                "Expected a signature like 'fid|ext:inception-v3-6726825d|resize:tf1-bilinear-299|real:50000|fake:10000"
                f"|fp32|v0.1.0', got {line!r}."
            )
        measures, extractor, resize, real, fake, others, captions, exif, precision, version = match.groups()
        more = tuple((role, _count(n)) for role, _, n in (part.partition(":") for part in others.split("|")[1:]))
        return cls(
            tuple(split_outside(measures, "+")),
            extractor,
            resize,
            _count(real),
            _count(fake),
            precision,
            version,
            more,
            captions or "",
            exif or "",
        )


def _count(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
