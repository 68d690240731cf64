"""How values stand in a policy file, where that is not how they are held: for the JSON schema of the file.

Each is an annotation beside the reader of its values (`values.py`), and replaces what pydantic would say of
the value that the reader returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of text.

    Attributes:
        name: what people call it.
        meaning: how it is written.
        examples: at least one.
        pattern: what it matches, where a pattern can tell; the reader judges all the same.
        write: writes a value as it stands in a policy.
    """

    name: str
    meaning: str
    examples: tuple[str, ...]
    pattern: str | None = None
    write: Callable[[Any], str] = str

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchema:
        """Return what stands in the file."""
        schema: JsonSchema = {"type": "string", "title": self.name}
        if self.pattern is not None:
            schema["pattern"] = self.pattern
        return schema | {"examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Forms:
    """Further forms of what an annotation holds, such as a word or a short form.

    Attributes:
        schemas: of each further form.
        one_for_list: whether one item may stand for a list of one.
        instead: whether the annotation's own form is not one that may be written.
    """

    schemas: tuple[JsonSchema, ...]
    one_for_list: bool = False
    instead: bool = False

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        """Return all forms; a key without a value is none of them."""
        if self.instead:
            return {"anyOf": list(self.schemas)}
        schema = handler(core)
        forms = [form for form in schema.get("anyOf", [schema]) if form != {"type": "null"}]
        if self.one_for_list:
            forms = [form["items"] for form in forms] + [form | {"minItems": 1} for form in forms]
        return {"anyOf": [*self.schemas, *forms]}


def word(value: str) -> JsonSchema:
    """Return the schema of one word."""
    return {"const": value}
