"""YAML files from others: plain values only, in bounded time and memory.

`yaml.safe_load` runs nothing, but ten lines of aliases of aliases expand to gigabytes, and a thousand brackets end in a
RecursionError. A description of an optimizer needs neither, so neither is read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from l2l_tf.checks import INT64, shown
from l2l_tf.errors import InputError
from l2l_tf.files import read_bytes

MOST_BYTES = 100_000  # a second's work for PyYAML
MOST_LEVELS = 20


class _NoAliasLoader(yaml.SafeLoader):
    """Reads no aliases, and nothing nested too deeply."""

    def __init__(self, text: str):
        super().__init__(text)
        self._level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, once it is known to be none of these."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read here: write it out")
        if self._level == MOST_LEVELS:
            raise yaml.YAMLError(f"nested more than {MOST_LEVELS} levels deep")
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        return node


class _NoAliasDumper(yaml.SafeDumper):
    """Writes out whatever occurs several times."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def read_yaml(path: Path) -> Any:
    """Mappings with strings as keys, lists, strings, booleans, null and numbers, from a UTF-8 file.

    Raises:
        InputError: the file cannot be read, is too large or too deep, has aliases, or is or holds anything else.
    """
    content = read_bytes(path, MOST_BYTES)
    try:
        value = yaml.load(content.decode(), _NoAliasLoader)
        _check(value)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:  # the last: `!!bool x`, say
        raise InputError(f"{path}: not readable as YAML ({shown(error, 200)})") from error
    return value


def write_yaml(value: Any) -> bytes:
    """A file that `read_yaml` reads, keys in their order."""
    return yaml.dump(value, Dumper=_NoAliasDumper, sort_keys=False).encode()


def _check(value: Any) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"key {key!r:.40} is no text")
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -INT64 <= value <= INT64:
            raise ValueError("an integer beyond 64 bits")
    elif not isinstance(value, str | bool | float | None):
        raise ValueError(f"a {type(value).__name__} is neither text, number, boolean, null, list nor mapping")
