"""TorchScript of a file as a module: frozen, and pickled as the bytes that it came from.

A TorchScript file is a program. Whoever loads one must know it, by its sha256 or because the user named the file.
"""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn


class Script(nn.Module):
    """Module of a TorchScript file.

    Args:
        content: the file's bytes.
        source: names it in errors.
        arguments: that its ``forward`` must have.

    Raises:
        ValueError: where the bytes are no TorchScript, or it is called in another way.
    """

    def __init__(self, content: bytes, source: str, arguments: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.content, self.source = content, source
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch.jit is kept, and goes no further
                self.script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
        except Exception as error:  # each part of the reader has its own for what it cannot read
            raise ValueError(
                f"weights {source}: expected TorchScript, got a file that does not load: {error}"
            ) from error
        for parameter in self.script.parameters():
            parameter.requires_grad_(False)
        known = {argument.name for argument in self.script.forward.schema.arguments}
        if missing := [name for name in arguments if name not in known]:
            raise ValueError(
                f"weights {source}: expected a network that is called with {', '.join(arguments)}, got one without "
                f"{', '.join(missing)}. Remedy: the published file."
            )

    def forward(self, x: Tensor, **options: bool) -> Tensor:
        """Return what the script gives, the same every time: as it is written, not as it is rewritten while it runs."""
        with torch.jit.optimized_execution(False):  # pyright: ignore[reportPrivateImportUsage]
            return self.script(x, **options)

    def __reduce__(self) -> tuple[object, ...]:
        device = next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))
        return _again, (self.content, self.source, str(device))


def _again(content: bytes, source: str, device: str) -> Script:
    with torch.inference_mode(False):
        return Script(content, source).to(device)
