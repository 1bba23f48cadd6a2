"""Tokens of links: unguessable, made again from a key that lies beside the store, kept in the store only as hashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 24
"""Random bytes of a token: 192 bits, 32 characters."""


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(BYTES)


def new_pseudonym() -> str:
    """Return the name under which a rater's judgements stand: random, and of nothing that is known of the rater."""
    return secrets.token_hex(8)


def digest_of(token: str) -> str:
    """Return the hash of a token, under which it is looked up: how long that takes tells nothing of the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def is_token(token: str, digest: str | None) -> bool:
    """Return whether a token has this hash, in a time that does not depend on where they differ."""
    return hmac.compare_digest(digest_of(token), digest or "")


@dataclass(frozen=True)
class TokenKey:
    """Key that the tokens of slots are made with, in a file that only its owner may read."""

    path: Path

    def make(self) -> None:
        """Make the key, on the disk when this returns; one that is there stays."""
        if self.path.exists():
            return
        partial = self.path.with_name(self.path.name + ".partial")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name is on the disk too
        finally:
            os.close(folder)

    def token(self, slot: int) -> str:
        """Return the token of a slot: HMAC-SHA256 of its number.

        Raises:
            FileNotFoundError: where the key is lost.
        """
        keyed = hmac.digest(self.path.read_bytes(), f"slot {slot}".encode(), "sha256")
        return base64.urlsafe_b64encode(keyed[:BYTES]).decode()
