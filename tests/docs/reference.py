"""The policy reference: tables of the keys of each section, made from the JSON schema of a policy file."""

import re
from collections.abc import Iterator
from typing import Any, Final, get_args

from bartizan.policy import Model
from bartizan.policy.formats import Format
from bartizan.policy.schema import models, policy_schema

# The page's headings, which tables point to.
SECTIONS: Final = {
    "Addresses": "addresses",
    "Auth": "auth",
    "Concurrency": "concurrency",
    "Cors": "cors",
    "Defaults": "defaults",
    "Exclusion": "exclusions",
    "Issuer": "issuers",
    "Listen": "listen",
    "Listener": "a-listener",
    "Policy": "the-whole-file",
    "Rate": "rate",
    "Route": "routes",
    "Rules": "rules",
    "Thresholds": "thresholds",
    "Tls": "tls",
    "Upstream": "upstreams",
    "Waf": "waf",
}
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._+@-][A-Za-z0-9/._+@:-]*")
Schema = dict[str, Any]


def keys(section: str) -> str:
    """Return the table of a section's keys."""
    lines = ["| key | takes | without it | meaning |", "|---|---|---|---|"]
    for name, shape in properties(section).items():
        cells = (f"`{name}`", takes(shape), _absent(section, name, shape), _meaning(name, shape))
        lines.append(row(*cells))
    return "\n".join(lines)


def formats() -> str:
    """Return the table of the formats of values."""
    lines = ["| name | how it is written | examples |", "|---|---|---|"]
    for found in sorted(_formats(), key=lambda each: each.name.lower()):
        examples = " ".join(f"`{example}`" for example in found.examples)
        lines.append(row(found.name, found.meaning, examples))
    return "\n".join(lines)


def row(*cells: str) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def properties(section: str) -> dict[str, Schema]:
    """Return the keys of a section, with their schemas; the section's own keys go before inherited ones."""
    found: dict[str, Schema] = _shape(section)["properties"]
    inherited = _shape("Defaults")["properties"] if section == "Route" else {}
    own = {name: shape for name, shape in found.items() if name not in inherited}
    return own | {name: found[name] for name in inherited}


def required(section: str) -> list[str]:
    """Return the keys that a section can't be without."""
    return list(_shape(section).get("required", ()))


def example(shape: Schema) -> Any:
    """Return a value that a key takes; None for a section, whose own keys have theirs."""
    found: list[Any] = [
        value for form in (shape, *shape.get("anyOf", ())) for value in form.get("examples", ())
    ]
    match shape:
        case {"type": "array"}:
            item = found[0] if found else example(shape["items"])
            return None if item is None else [item]
        case {"enum": words}:
            found += [word for word in words if word != shape.get("default")]
        case {"type": "boolean"}:
            found += [not shape.get("default")]
    return found[0] if found else shape.get("default")


def flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(flow(item) for item in value) + "]"
        case str() if not _PLAIN.fullmatch(value):
            return f'"{value}"'
    return str(value)


def takes(shape: Schema) -> str:
    """Say what a key takes."""
    match shape:
        case {"anyOf": forms}:
            return " or ".join(takes(form) for form in forms)
        case {"type": "array", "items": items}:
            return f"list of {takes(items)}" + (", at least one" if shape.get("minItems") else "")
        case {"patternProperties": patterns}:
            (inner,) = patterns.values()
            return f"names, each with the keys of {takes(inner)}"
        case {"$ref": ref}:
            name = ref.rpartition("/")[2]
            return f"[{SECTIONS[name].removeprefix('a-')}](#{SECTIONS[name]})"
    return _one_value(shape)


def _one_value(shape: Schema) -> str:
    words = "text"
    match shape:
        case {"const": word}:
            words = f"`{word}`"
        case {"enum": choices}:
            words = ", ".join(f"`{word}`" for word in choices)
        case {"type": "integer", "minimum": low, "maximum": high}:
            words = f"{shape.get('title', 'whole number')}, {low} to {high}"
        case {"type": "boolean"}:
            words = "`true` or `false`"
        case {"title": title}:
            words = title if title.isupper() and ":" in title else f"[{title}](#how-values-are-written)"
    return words


def _shape(section: str) -> Schema:
    schema = policy_schema()
    found: Schema = schema if section == "Policy" else schema["$defs"][section]
    return found


def _absent(section: str, name: str, shape: Schema) -> str:
    if name in required(section):
        return "required"
    if section == "Route" and name in _shape("Defaults")["properties"]:
        return "as in [defaults](#defaults)"
    return f"`{flow(shape['default'])}`" if "default" in shape else ""


def _meaning(name: str, shape: Schema) -> str:
    text: str = shape["description"]
    value = example(shape)
    return text if value is None else f"{text} Example: `{name}: {flow(value)}`"


def _formats() -> Iterator[Format]:
    """Yield every format that some key has, once."""
    found: dict[str, Format] = {}
    for model in models(Model):
        for field in model.model_fields.values():
            for each in (*field.metadata, *_annotations(field.annotation)):
                if isinstance(each, Format):
                    found.setdefault(each.name, each)
    yield from found.values()


def _annotations(kind: Any) -> Iterator[Any]:
    yield from getattr(kind, "__metadata__", ())
    for inner in get_args(kind):
        yield from _annotations(inner)
