"""Parse settings of a recipe from text, by their types, for `inverso train --set name=value`."""

from __future__ import annotations

import types
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")

TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def with_settings(recipe: Settings, assignments: Sequence[str]) -> Settings:
    """Change a recipe, or any frozen dataclass, by assignments `name=value`.

    The items of a tuple are joined by commas, pairs and the settings of a nested dataclass by colons; a nested setting
    can be addressed with a dot: `betas=0.5,0.9`, `corruptions=white-noise:2,white-box`, `weights=pixel:1,mask:0.1` and
    `weights.mask=0.1`. The second item of a pair may be omitted if it is a number, and is then 1.

    Args:
        recipe: The dataclass.
        assignments: Assignments, applied in order.

    Returns:
        A changed copy.

    Raises:
        ValueError: The setting is unknown (the message lists the known ones), or the text is not a value of its type.

    Example:
        >>> from dataclasses import dataclass
        >>> from inverso.training._settings import with_settings
        >>> @dataclass(frozen=True)
        ... class Walk:
        ...     steps: int = 10
        ...     pace: tuple[float, float] = (1.0, 2.0)
        >>> with_settings(Walk(), ["pace=0.5,3"])
        Walk(steps=10, pace=(0.5, 3.0))
    """
    for assignment in assignments:
        name, found, text = assignment.partition("=")
        if not found:
            msg = f"a setting is written name=value, got {assignment!r}"
            raise ValueError(msg)
        recipe = _assign(recipe, name.strip(), text.strip())
    return recipe


def describe_settings(recipe: object) -> list[tuple[str, str, str]]:
    """List name, type and value of every setting of a dataclass, all as text.

    Raises:
        TypeError: It is not a dataclass.
    """
    kinds = _kinds(recipe)
    return [(name, _spell(kind), str(getattr(recipe, name))) for name, kind in kinds.items()]


def _assign(settings: Settings, name: str, text: str) -> Settings:
    kinds = _kinds(settings)
    head, _, rest = name.partition(".")
    if head not in kinds:
        msg = f"there is no setting {head!r}; known are {', '.join(kinds)}"
        raise ValueError(msg)
    value = getattr(settings, head)
    made = _assign(value, rest, text) if rest else _read(text, kinds[head], name=head, before=value)
    return replace(settings, **{head: made})  # type: ignore[type-var]


def _kinds(settings: object) -> dict[str, Any]:
    if not is_dataclass(settings):
        msg = f"only a dataclass has settings, got {type(settings).__name__}"
        raise TypeError(msg)
    hints = get_type_hints(type(settings))
    return {one.name: hints[one.name] for one in fields(settings) if one.init}


def _read(text: str, kind: Any, *, name: str, before: object = None) -> Any:  # noqa: ANN401 - any setting
    """Parse one value of a type."""
    if get_origin(kind) in {Union, types.UnionType}:
        return _read_first(text, get_args(kind), name=name)
    if get_origin(kind) is tuple:
        return _read_tuple(text, get_args(kind), name=name)
    if is_dataclass(kind):
        inner = [part.replace(":", "=", 1) for part in text.split(",")]
        return with_settings(before, inner)
    if kind is types.NoneType and text.lower() == "none":
        return None
    if kind is bool and text.lower() in (*TRUE, *FALSE):
        return text.lower() in TRUE
    if kind is str:
        return text
    if get_origin(kind) is Literal and text in get_args(kind):
        return text
    if kind in {int, float}:
        with suppress(ValueError):
            return kind(text)
    msg = f"{name} must be {_spell(kind)}, got {text!r}"
    raise ValueError(msg)


def _read_first(text: str, kinds: Sequence[Any], *, name: str) -> Any:  # noqa: ANN401
    """Parse a value by the first of several types that accepts it, text last."""
    ordered = sorted(kinds, key=lambda kind: (kind is str, kind is not types.NoneType))
    for kind in ordered:
        with suppress(ValueError):
            return _read(text, kind, name=name)
    msg = f"{name} must be {' or '.join(_spell(kind) for kind in kinds)}, got {text!r}"
    raise ValueError(msg)


def _read_tuple(text: str, kinds: Sequence[Any], *, name: str) -> tuple[Any, ...]:
    items = [part.strip() for part in text.split(",")] if text else []
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        pair = get_args(kinds[0]) if get_origin(kinds[0]) is tuple else None
        if pair is None:
            return tuple(_read(item, kinds[0], name=name) for item in items)
        return tuple(_read_pair(item, pair, name=name) for item in items)
    if len(items) != len(kinds):
        msg = f"{name} must be {len(kinds)} values joined by commas, got {text!r}"
        raise ValueError(msg)
    return tuple(_read(item, kind, name=name) for item, kind in zip(items, kinds, strict=True))


def _read_pair(text: str, kinds: Sequence[Any], *, name: str) -> tuple[Any, ...]:
    first, found, second = text.partition(":")
    if not found and kinds[1] is float:
        second = "1"
    return _read(first.strip(), kinds[0], name=name), _read(second.strip(), kinds[1], name=name)


def _spell(kind: Any) -> str:  # noqa: ANN401
    """Describe a type in words."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join(_spell(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        spelled = [_spell_item(each) for each in get_args(kind) if each is not Ellipsis]
        return f"{','.join(spelled)},..." if Ellipsis in get_args(kind) else ",".join(spelled)
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "none"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def _spell_item(kind: Any) -> str:  # noqa: ANN401
    return ":".join(map(_spell, get_args(kind))) if get_origin(kind) is tuple else _spell(kind)
