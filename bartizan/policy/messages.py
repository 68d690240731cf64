"""What pydantic found, in words that the person who writes the policy can act on."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bartizan.policy.models import Policy
from bartizan.policy.problems import Finding, Key
from bartizan.policy.values import write_duration

_WANTED: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, written [one, two]",
    "dict_type": "must be a mapping, written {name: value}",
    "model_type": "must be a mapping, written {key: value}",
    "model_attributes_type": "must be a mapping, written {key: value}",
}
_MISSING: Final = {
    "auth": (
        "no decision on authentication; write auth: none for a public route,"
        " or auth: {issuer: ..., audience: ..., scopes: [...]}"
    ),
    "methods": "is missing; list the methods that the route serves, such as [GET]",
    "upstream": "is missing; name one of the upstreams",
    "routes": "is missing; without routes every request is refused: list what is to be served",
    "audience": "is missing; write the audience that tokens must name: those for other services don't pass",
}


def explained(error: ValidationError, data: Any) -> Iterator[Finding]:
    """Yield the place and the sentence for each thing that pydantic found.

    Args:
        error: what `Policy.model_validate` raised.
        data: the plain values that were validated.
    """
    for detail in error.errors(include_url=False, include_input=False):
        key: Key = tuple(part for part in detail["loc"] if part != "[key]")
        value = _value_at(data, key)
        # The cause of these two has an error of its own: what a default is made from, what a list holds.
        consequence = detail["type"] == "default_factory_not_called" or (
            detail["type"] == "too_short" and value
        )
        if not consequence:
            yield Finding(key, _sentence(detail, key, value))


def did_you_mean(word: str, known: Iterator[str] | list[str]) -> str:
    """Return `; did you mean this?` where a known word is near, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _sentence(detail: ErrorDetails, key: Key, value: Any) -> str:
    kind = detail["type"]
    if not key and kind in _WANTED:
        return "is not a policy; it needs at least upstreams: and routes:"
    if kind in _WANTED:
        return _WANTED[kind] if isinstance(value, dict | tuple) else f"{_shown(value)} {_WANTED[kind]}"
    if kind in _WORDED:
        return _WORDED[kind](detail, key, value)
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _unknown(_: ErrorDetails, key: Key, __: Any) -> str:
    allowed = sorted(_keys_at(key[:-1]))
    return f"unknown key{did_you_mean(str(key[-1]), allowed)} (allowed: {', '.join(allowed)})"


def _missing(_: ErrorDetails, key: Key, __: Any) -> str:
    return _MISSING.get(str(key[-1]), "is missing")


def _not_a_choice(_: ErrorDetails, key: Key, value: Any) -> str:
    allowed = [str(choice) for choice in _choices(_field_at(key))]
    meant = did_you_mean(str(value), allowed)
    return f"{_shown(value)} is not allowed{meant} (allowed: {', '.join(allowed)})"


def _out_of_range(_: ErrorDetails, key: Key, value: Any) -> str:
    return f"{_shown(value)} is out of range; allowed: {_range(_field_at(key), isinstance(value, str))}"


def _own_words(detail: ErrorDetails, _: Key, value: Any) -> str:
    message = str(detail.get("ctx", {})["error"])
    # Sentences of other kinds name the value themselves, or keep it to themselves (a URL with a password).
    if isinstance(value, str | int | float) and message.startswith(("is ", "has ", "does ")):
        return f"{_shown(value)} {message}"
    return message


_WORDED: Final[dict[str, Callable[[ErrorDetails, Key, Any], str]]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _not_a_choice,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "value_error": _own_words,
    "too_short": lambda *_: "is an empty list; name at least one",
    "string_too_short": lambda *_: "is empty",
}


def _shown(value: Any) -> str:
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if len(text) > 60:
        text = f"{text[:57]}..."
    return repr(text) if isinstance(value, str) else text


def _value_at(data: Any, key: Key) -> Any:
    for part in key:
        match data:
            case dict() if part in data:
                data = data[part]
            case dict() if part == 0:  # one setting is short for a list of one
                continue
            case tuple() if isinstance(part, int) and part < len(data):
                data = data[part]
            case str() | int() | float():  # a short form of what the key names
                return data
            case _:
                return None
    return data


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the plain types inside an annotation, without Annotated, unions and containers."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _parts(inner)


def _field_at(key: Key) -> FieldInfo | None:
    field: FieldInfo | None = None
    models: list[type[BaseModel]] = [Policy]
    for part in key:
        if not isinstance(part, str):
            continue
        found = next((model.model_fields[part] for model in models if part in model.model_fields), None)
        if found is not None:
            field = found
            models = [inner for inner in _parts(field.annotation) if _is_model(inner)]
    return field


def _keys_at(key: Key) -> Iterator[str]:
    if not any(isinstance(part, str) for part in key):
        yield from Policy.model_fields
        return
    field = _field_at(key)
    for inner in _parts(field.annotation) if field else ():
        if _is_model(inner):
            yield from inner.model_fields


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _choices(field: FieldInfo | None) -> Iterator[Any]:
    for inner in _parts(field.annotation) if field else ():
        if get_origin(inner) is Literal:
            yield from get_args(inner)


def _range(field: FieldInfo | None, duration: bool) -> str:
    low = high = None
    for constraint in _constraints(field):
        if isinstance(constraint, Ge):
            low = constraint.ge
        elif isinstance(constraint, Le):
            high = constraint.le

    def write(bound: Any) -> str:
        return write_duration(bound) if duration else f"{bound}"

    return f"from {write(low)} to {write(high)}"


def _constraints(field: FieldInfo | None) -> Iterator[Any]:
    for item in field.metadata if field else ():
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)
