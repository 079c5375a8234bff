"""A table of a TOML file: every key is checked, and an invalid one is an error that names its place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mora import values
from mora.errors import BadConfig, BadInput


class TomlTable:
    """A TOML table that names its place in every error, and records which keys were read."""

    def __init__(self, path: Path, table: Mapping[str, Any], place: str = "") -> None:
        self._path, self._table, self._place = path, table, place
        self._known: list[str] = []

    @classmethod
    def read(cls, path: Path, what: str) -> TomlTable:
        """The table of a file; BadConfig where it cannot be read or is not TOML. what: "plan", "scenario"."""
        try:
            return cls(path, tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise BadConfig(f"The {what} {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise BadConfig(f"The {what} {path} is not UTF-8.") from error
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise BadConfig(f"The {what} {path} is not TOML: {error}.") from error

    def fail(self, key: str, why: str, hint: str | None = None) -> BadConfig:
        """The error of a key."""
        return BadConfig(f"{self._path}: {self._place}{key}: {why}", hint=hint)

    def get(self, key: str, parse: Callable[[Any], Any], default: Any = None, *, is_required: bool = False) -> Any:
        """The value of a key, as `parse` reads it; `default` where it is not there."""
        self._known.append(key)
        if key not in self._table:
            if is_required:
                raise self.fail(key, "is required.")
            return default
        try:
            return parse(self._table[key])
        except BadInput as error:
            raise self.fail(key, error.message, error.hint) from error

    def table(self, key: str) -> TomlTable | None:
        """The table of a key; None where it is not there."""
        value = self.get(key, values.table)
        return None if value is None else TomlTable(self._path, value, f"{self._place}{key}.")

    def tables(self, key: str) -> list[TomlTable]:
        """The tables of a key, which is a list of them."""
        found = self.get(key, values.list_of(values.table), ())
        return [TomlTable(self._path, value, f"{self._place}{key}[{n}].") for n, value in enumerate(found)]

    def check_all_known(self) -> None:
        """Raise BadConfig for a key that was never read."""
        for key in self._table:
            if key not in self._known:
                raise self.fail(key, "unknown key.", hint=f"Known keys: {', '.join(self._known)}.")

    def __contains__(self, key: str) -> bool:
        """Whether the file has this key."""
        return key in self._table
