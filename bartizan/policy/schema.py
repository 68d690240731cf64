"""The JSON schema of a policy file: what an editor completes and checks, and what the reference is made from.

It says what each key takes, its bounds, what stands without it, and what it means. What one key must be
because of another (an upstream that is defined, a limit on every route) only `bartizan check` can tell.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from bartizan.policy.base import Model
from bartizan.policy.formats import Format, JsonSchema
from bartizan.policy.listeners import Listener, Operator
from bartizan.policy.models import Defaults, Policy, Route

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's own name
        """A key is its own title."""
        return False


@cache
def policy_schema() -> JsonSchema:
    """Return the JSON schema of a policy file."""
    schema = Policy.model_json_schema(schema_generator=_Generator)
    definitions = schema["$defs"]
    for model in models(Model):
        shape = schema if model is Policy else definitions.get(model.__name__)
        for name, field in model.model_fields.items() if shape is not None else ():
            _in_words_of_the_file(shape["properties"][name], field)
    for name in Defaults.model_fields:  # what stands in their place is in `defaults`
        definitions[Route.__name__]["properties"][name].pop("default", None)
    return {"$schema": DIALECT, **schema, "title": "Bartizan's policy file"}


def models(base: type[Model]) -> Iterator[type[Model]]:
    """Yield every section of a policy file."""
    for model in base.__subclasses__():
        yield model
        yield from models(model)


def _in_words_of_the_file(shape: JsonSchema, field: FieldInfo) -> None:
    """Correct what pydantic says of values as they are held."""
    # An absent key is left out, never written as null.
    if "anyOf" in shape:
        forms = [form for form in shape.pop("anyOf") if form != {"type": "null"}]
        shape |= forms[0] | shape if len(forms) == 1 else {"anyOf": forms}
    shape["description"] = " ".join(str(field.description).split())
    default = None if field.default is PydanticUndefined else field.default
    shape.pop("default", None)
    # What stands in place of a section is said by its own keys.
    if default is not None and default not in ((), {}) and (words := as_written(default, field)) != {}:
        shape["default"] = words
    elif default is None and {"const": "off"} in shape.get("anyOf", ()):
        shape["default"] = "off"
    if shape.get("type") == "string":
        low = next((item.ge for item in field.metadata if isinstance(item, Ge)), None)
        high = next((item.le for item in field.metadata if isinstance(item, Le)), None)
        if low is not None and high is not None:
            shape["description"] += f" From {as_written(low, field)} to {as_written(high, field)}."
    if "patternProperties" in shape:
        del shape["propertyNames"]
        shape["additionalProperties"] = False


def as_written(value: Any, field: FieldInfo) -> Any:
    """Return a value of a policy as it stands in a file."""
    match value:
        case Listener():
            return value.port
        case Operator():
            return value.address
        case Model():
            fields = type(value).model_fields
            return {
                name: as_written(getattr(value, name), fields[name])
                for name in fields
                if name in value.model_fields_set
            }
        case tuple():
            items = [as_written(item, field) for item in value]
            return items[0] if len(items) == 1 and isinstance(value[0], Model) else items
    found = next((item for item in field.metadata if isinstance(item, Format)), None)
    return value if found is None or isinstance(value, str) else found.write(value)
