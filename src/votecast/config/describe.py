"""A table of settings: dotted name, type, default, allowed values and meaning of each.

`votecast recipes NAME` and the reference in the docs print it; the meaning is parsed from the docstring of the class.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from votecast.config.settings import Settings

_ENTRY = re.compile(r"^ {4}(\w+): (.*)$")
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "min_length": "length >=", "max_length": "length <="}


@dataclass(frozen=True)
class SettingDescription:
    """One setting, as documentation shows it.

    Args:
        name: Dotted name, such as "folds.n".
        type: Its type, such as "int | None".
        required: Whether it has no default.
        default: JSON-able default value.
        value: Its value where an instance was described; else the default.
        allowed: Allowed values or bounds, such as ">= 2"; "" without a limit.
        meaning: What the docstring of its class says.
    """

    name: str
    type: str
    required: bool
    default: object
    value: object
    allowed: str
    meaning: str


def describe_settings(settings: Settings | type[Settings], prefix: str = "") -> Iterator[SettingDescription]:
    """List every setting of a class or an instance, nested ones by dotted name.

    Args:
        settings: A class of settings, or an instance whose values are listed beside the defaults.
        prefix: Dotted name of the place where these settings are nested.

    Example:
        >>> class Folds(Settings):
        ...     '''How rows are divided.
        ...
        ...     Args:
        ...         n: Number of folds.
        ...     '''
        ...
        ...     n: int = 5
        >>> [(row.name, row.type, row.default, row.meaning) for row in describe_settings(Folds)]
        [('n', 'int', 5, 'Number of folds.')]
    """
    kind = settings if isinstance(settings, type) else type(settings)
    meanings = _meanings(kind)
    for name, field in kind.model_fields.items():
        dotted, default = f"{prefix}{name}", field.get_default(call_default_factory=True)
        value = default if isinstance(settings, type) else getattr(settings, name)
        nested = _nested_type(field.annotation)
        if nested is None or not isinstance(value, nested):
            yield SettingDescription(
                name=dotted,
                type=_type_name(field.annotation),
                required=field.is_required(),
                default=None if field.is_required() else _plain(default),
                value=None if isinstance(settings, type) and field.is_required() else _plain(value),
                allowed=", ".join(dict.fromkeys([*_limits(field.metadata), *_limits_within(field.annotation)])),
                meaning=meanings.get(name, ""),
            )
        if nested is not None:
            yield from describe_settings(value if isinstance(value, nested) else nested, f"{dotted}.")


def _meanings(kind: type[BaseModel]) -> dict[str, str]:
    """Read the Args sections of a class and of its bases; the class itself wins."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, args = inspect.cleandoc(vars(base).get("__doc__") or "").partition("\nArgs:\n")
        name = ""
        for line in args.splitlines():
            if entry := _ENTRY.match(line):
                name = entry[1]
                found[name] = entry[2]
            elif name and line.startswith(" " * 8):
                found[name] += f" {line.strip()}"
            else:
                break
    return found


def _nested_type(annotation: object) -> type[Settings] | None:
    parts = (annotation, *get_args(annotation))
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Settings)), None)


def _type_name(annotation: object) -> str:
    """Write a type as a reader would, bounds left out."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(_type_name, args)))
    if origin is Literal:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in args))
    if args:
        inner = ", ".join("..." if part is Ellipsis else _type_name(part) for part in args)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return "None" if annotation is types.NoneType else getattr(annotation, "__name__", str(annotation))


def _limits_within(annotation: object) -> Iterator[str]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from map(str, args)
    elif origin is Annotated:
        yield from _limits_within(args[0])
        yield from _limits(args[1:])
    elif origin in (Union, types.UnionType):
        for part in args:
            yield from _limits_within(part)


def _limits(metadata: tuple[object, ...] | list[object]) -> Iterator[str]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _limits(item.metadata)
        elif isinstance(item, annotated_types.BaseMetadata):
            for name, sign in _BOUNDS.items():
                if (bound := getattr(item, name, None)) is not None:
                    yield f"{sign} {bound}"


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
