"""What all parts of a policy share."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Mode = Literal["enforce", "observe", "off"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Model(BaseModel):
    """A part of a policy: unknown keys and wrong types are errors, and nothing changes after loading."""

    # The text below a field is its description: in the JSON schema, and in the policy reference.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


def off_is_none(value: Any) -> Any:
    """Read `off` as None; a key without a value is a slip of the pen, not a decision."""
    if value is None:
        raise ValueError("has no value; write one, or off")
    return None if value == "off" else value
