"""Addresses, ``s3://bucket/shards``, read where they lie through fsspec; the only door to it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import ModuleType

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
MOST_SAID = 200
WEB = ("http://", "https://")
USER, QUERY = re.compile(r"(?<=://)[^\s/@]+(?=@)"), re.compile(r"(?<=\?)[\w.%-]+=[^\s'\")]*")
"""What may be secret in an address: a name and its password, and the query, which signs it."""


@dataclass(frozen=True)
class Remote:
    """A file or a folder at an address: as much of :class:`pathlib.Path` as sources of images use.

    Each process opens the file system for itself. Credentials are those that the file system's package finds in the
    environment; none are asked for.

    Args:
        address: of any protocol that fsspec has a package for.

    Example:
        >>> shard = Remote("memory://shards/") / "a.tar"
        >>> str(shard), shard.name, shard.suffix, shard.exists()
        ('memory://shards/a.tar', 'a.tar', '.tar', False)
    """

    address: str

    def __str__(self) -> str:
        return shown(self.address)

    def __truediv__(self, below: str) -> Remote:
        return Remote(f"{self.address.rstrip('/')}/{below}")

    @property
    def name(self) -> str:
        """The last part of the path; of an address of the web, without its query."""
        path = urlsplit(self.address).path if self.address.startswith(WEB) else self.address.partition("://")[2]
        return posixpath.basename(path.rstrip("/"))

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return posixpath.splitext(self.name)[1]

    def exists(self) -> bool:
        """Return whether there is something."""
        return self._info() is not None

    def is_dir(self) -> bool:
        """Return whether it is a folder, or a prefix of others' addresses."""
        return (self._info() or {}).get("type") == "directory"

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return self.exists() and not self.is_dir()

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Return the file, in which one can seek; whatever the file system raises where it does not open."""
        system, path = self._at()
        return system.open(path, mode)

    def read_bytes(self) -> bytes:
        """Return what it holds."""
        system, path = self._at()
        return system.cat_file(path)

    def files_below(self) -> list[str]:
        """Return the paths of all files below it."""
        system, path = self._at()
        root = path.rstrip("/") + "/"
        return [found.removeprefix(root) for found in system.find(path)]

    def _info(self) -> dict[str, Any] | None:
        system, path = self._at()
        try:
            return system.info(path)
        except FileNotFoundError as error:
            if error.__cause__ is None or isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            raise self._refusal(error.__cause__) from error  # a server that cannot be reached, say
        except Exception as error:  # each package has its own, for what is refused and what cannot be reached
            raise self._refusal(error) from error

    def _refusal(self, error: BaseException) -> ValueError:
        line = shown((str(error).splitlines() or [""])[0])[:MOST_SAID]
        return ValueError(
            f"{self}: expected to read there, got {type(error).__name__}: {line}. Remedy: see that the address is "
            "right and this machine may read it, with the credentials of its environment; or download it first."
        )

    def _at(self) -> tuple[Any, str]:
        """Return the file system, which fsspec keeps for this process, and the path in it."""
        try:
            return _fsspec(self).core.url_to_fs(self.address)
        except ValueError as error:  # a protocol that it does not know
            raise ValueError(f"{self}: expected an address that fsspec knows, got {shown(str(error))}.") from error
        except ImportError as error:
            raise ImportError(f"{self}: {error}. Remedy: install that package.") from error
        except Exception as error:  # of one that is reached at once, ftp say
            raise self._refusal(error) from error


Place: TypeAlias = "Path | Remote"
"""Where a file or a folder is."""


def shown(text: str) -> str:
    """Return an address, or what is said of one, without what may be secret in it.

    Example:
        >>> shown("https://me:word@host/x.zip?Signature=ab12"), shown("s3://bucket/x.zip")
        ('https://…@host/x.zip?…', 's3://bucket/x.zip')
    """
    return QUERY.sub("…", USER.sub("…", text))


def place_at(where: str | Place) -> Place:
    """Return where a text says, or itself.

    Example:
        >>> place_at("s3://bucket/real"), place_at("real").name
        (Remote(address='s3://bucket/real'), 'real')
    """
    if not isinstance(where, str):
        return where
    return Remote(where) if ADDRESS.match(where) else Path(where)


def local_files(*places: Place) -> tuple[Path, ...] | None:
    """Return files; None where one of them is at an address, where it may change unseen."""
    files = tuple(place for place in places if isinstance(place, Path))
    return files if len(files) == len(places) else None


def _fsspec(where: Remote) -> ModuleType:
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(
            f'{where}: an address needs fsspec. Remedy: pip install "streaming-metrics[remote]"; or download it.'
        ) from error
    return fsspec
