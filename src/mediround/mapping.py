"""Plain values, as JSON and TOML hold them, into frozen dataclasses; keys and types are checked."""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from mediround.errors import ConfigError

T = TypeVar("T")


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Build the dataclass ``kind`` from nested plain values.

    Args:
        kind: a dataclass of numbers, words, tuples and further dataclasses.
        values: by the names of its fields; those without a default must be there.
        where: they come from, for messages.

    Raises:
        ConfigError: unknown or missing keys, values of another type, contradictions.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}", expected="a table of settings")
    hints = typing.get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # any dataclass
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{where} has the unknown keys {unknown}", expected=f"some of {sorted(known)}"
        )
    made = {key: _value(hints[key], value, f"{where}.{key}") for key, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise ConfigError(f"{where} is incomplete: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if value is None and types.NoneType in typing.get_args(hint):
        return None
    kinds = [each for each in typing.get_args(hint) if dataclasses.is_dataclass(each)]
    if kinds and isinstance(hint, types.UnionType):
        return from_mapping(_kind(kinds, value, where), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _items(typing.get_args(hint), value, where)
    words = _words(hint)
    if words:
        if value not in words:
            raise ConfigError(f"{where} is {value!r}", expected=f"one of {words}")
        return value
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, options) or (isinstance(value, bool) and bool not in options):
        names = " or ".join("nothing" if o is types.NoneType else o.__name__ for o in options)
        raise ConfigError(f"{where} is {value!r}", expected=names)
    return value


def _kind(kinds: Sequence[Any], value: Any, where: str) -> Any:
    """Which of several dataclasses ``value`` is meant for, by its key "kind"; the first without."""
    if len(kinds) == 1:
        return kinds[0]
    named = {str(each.kind): each for each in kinds}
    if not isinstance(value, Mapping) or "kind" not in value:
        return kinds[0]
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in named:
        raise ConfigError(f"{where}.kind is {kind!r}", expected=f"one of {sorted(named)}")
    return named[kind]


def _words(hint: Any) -> list[str | None]:
    """What a ``Literal``, possibly with None beside it, allows; nothing for any other type."""
    if typing.get_origin(hint) is Literal:
        return list(typing.get_args(hint))
    if typing.get_origin(hint) is typing.Union:
        return [None, *(word for each in typing.get_args(hint) for word in _words(each))]
    return []


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    """``value`` as ``tuple[kind, ...]`` or ``tuple[kind, kind]``."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} is {value!r}", expected="a list")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ConfigError(f"{where} has {len(value)} values", expected=f"{len(kinds)}")
    return tuple(_value(kinds[0], item, f"{where}[{n}]") for n, item in enumerate(value))
