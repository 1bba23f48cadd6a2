"""Table of a TOML file, read key by key: each is checked, and what no one asked for is refused by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from streaming_metrics.arguments import check_flag, check_integer

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
REQUIRED: Any = object()


class Table:
    """Table of keys and values; errors name the key as ``name.key``.

    Example:
        >>> table = Table({"raters": 3, "sed": 7})
        >>> table.integer("raters", 1), table.integer("seed", 0, least=0)
        (3, 0)
        >>> table.finish()
        Traceback (most recent call last):
        ValueError: sed: expected one of raters, seed, got another key. Did you mean 'seed'?
    """

    def __init__(self, values: Mapping[str, Any], name: str = "") -> None:
        self._values, self._name, self._asked = values, name, []

    def take(self, key: str, of: type[T] | tuple[type, ...], default: Any, expected: str) -> Any:
        """Return a value of a type, or the default."""
        self._asked.append(key)
        value = self._values.get(key, default)
        if value is REQUIRED:
            raise ValueError(f"{self.path(key)}: expected {expected}, got none. Remedy: add it.")
        if key in self._values and not isinstance(value, of):
            raise ValueError(f"{self.path(key)}: expected {expected}, got {value!r}.")
        return value

    def path(self, key: str) -> str:
        """Return what errors call a key."""
        return f"{self._name}.{key}" if self._name else key

    def text(self, key: str, default: Any = REQUIRED) -> str:
        """Return a text that is not empty."""
        value = self.take(key, str, default, "a text")
        if key in self._values and not value.strip():
            raise ValueError(f"{self.path(key)}: expected a text, got an empty one.")
        return value

    def integer(self, key: str, default: int, least: int = 1, most: int | None = None) -> int:
        """Return an integer within bounds."""
        value = self.take(key, object, default, "an integer")
        if key in self._values:
            try:
                check_integer(self.path(key), value, least, most)
            except TypeError as error:
                raise ValueError(str(error)) from error
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.take(key, object, default, "true or false")
        try:
            check_flag(self.path(key), value)
        except TypeError as error:
            raise ValueError(f"{self.path(key)}: expected true or false, got {value!r}.") from error
        return value

    def list_of(self, key: str, of: type | tuple[type, ...], default: Any, expected: str) -> tuple[Any, ...]:
        """Return a list that is not empty and holds nothing twice."""
        values = self.take(key, list, default, expected)
        if key not in self._values:
            return tuple(values)
        wrong = [value for value in values if not isinstance(value, of) or isinstance(value, bool)]
        if wrong or not values or len(set(values)) != len(values):
            raise ValueError(f"{self.path(key)}: expected {expected}, each once, got {values!r}.")
        return tuple(values)

    def table(self, key: str, default: Any = REQUIRED) -> Table:
        """Return a table within."""
        return Table(self.take(key, dict, default, f"a table [{self.path(key)}]"), self.path(key))

    def list_of_tables(self, key: str) -> list[Table]:
        """Return the tables ``[[key]]``, of which there is at least one."""
        values = self.take(key, list, REQUIRED, f"tables [[{key}]]")
        if not values or not all(isinstance(value, dict) for value in values):
            raise ValueError(f"{self.path(key)}: expected tables [[{key}]], got {values!r}.")
        return [Table(value, f"{self.path(key)} {number}") for number, value in enumerate(values, 1)]

    def by_language(self, key: str, languages: tuple[str, ...], default: Mapping[str, str]) -> dict[str, str]:
        """Return a text in each language: those given, or the defaults where none is given."""
        if key not in self._values:
            self._asked.append(key)
            return {language: default[language] for language in languages}
        if isinstance(self._values[key], str) and len(languages) == 1:
            return {languages[0]: self.text(key)}
        table = self.table(key)
        texts = {language: table.text(language) for language in languages}
        table.finish()
        return texts

    def values(self, key: str) -> Any:
        """Return a value as it stands, None where it does not."""
        return self._values.get(key)

    @property
    def names(self) -> tuple[str, ...]:
        """All keys, in the file's order."""
        return tuple(self._values)

    def finish(self) -> None:
        """Raise ValueError for a key that no one asked for."""
        for key in self._values:
            if key not in self._asked:
                near = get_close_matches(key, self._asked, 1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{self.path(key)}: expected one of {', '.join(self._asked)}, got another key.{hint}")
