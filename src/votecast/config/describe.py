"""A table of settings: dotted name, type, default, allowed values and meaning of each.

`votecast recipes NAME` and the reference in the docs print it; the meaning is parsed from the docstring of the class.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

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
    values = {} if isinstance(settings, type) else dict(settings)
    meanings = _meanings(kind)
    for name, field in kind.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = values.get(name, default)
        parts = (field.annotation, *get_args(field.annotation))
        nested = next((part for part in parts if isinstance(part, type) and issubclass(part, Settings)), None)
        if nested is None or not isinstance(value, nested):
            limits = dict.fromkeys([*_limits(*field.metadata), *_limits(field.annotation)])
            yield SettingDescription(
                name=f"{prefix}{name}",
                type=_type_name(field.annotation),
                required=field.is_required(),
                default=to_jsonable_python(default),
                value=to_jsonable_python(value),
                allowed=", ".join(limits),
                meaning=meanings.get(name, ""),
            )
        if nested is not None:
            yield from describe_settings(value if isinstance(value, nested) else nested, f"{prefix}{name}.")


def _meanings(kind: type[BaseModel]) -> dict[str, str]:
    """Read the Args sections of a class and of its bases; the class itself wins."""
    found: dict[str, str] = {}
    # later classes overwrite what their bases say
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


def _type_name(annotation: object) -> str:
    """Write a type as a reader would, bounds left out."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(args[0])
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(map(_type_name, args)))
    if origin is Literal:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in args))
    if isinstance(origin, type) and args:
        inner = ", ".join("..." if part is Ellipsis else _type_name(part) for part in args)
        return f"{origin.__name__}[{inner}]"
    if annotation is types.NoneType:
        return "None"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _limits(*parts: object) -> Iterator[str]:
    """List the allowed values and bounds in annotations and their metadata."""
    for part in parts:
        origin, args = get_origin(part), get_args(part)
        if origin is Literal:
            yield from map(str, args)
        elif origin in (Annotated, Union, types.UnionType):
            yield from _limits(*args)
        elif isinstance(part, FieldInfo):
            yield from _limits(*part.metadata)
        elif is_dataclass(part) and not isinstance(part, type):  # a bound of annotated_types
            bounds = {name: bound for name, bound in asdict(part).items() if name in _BOUNDS and bound is not None}
            yield from (f"{_BOUNDS[name]} {bound}" for name, bound in bounds.items())
