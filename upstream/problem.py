"""Errors as `application/problem+json` (RFC 9457), whatever the status and wherever they arose."""

import re
from http import HTTPStatus
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from quart import Quart, Response, g
from quart_schema import RequestSchemaValidationError
from quart_schema.validation import QuerystringValidationError
from werkzeug.exceptions import HTTPException, InternalServerError

from upstream.tokens.refusal import RefusalError

MEDIA_TYPE = "application/problem+json"
MAX_VIOLATIONS = 20

# Where werkzeug's own sentence speaks to a person with a browser.
_DETAILS = {404: "There is nothing at this path.", 405: "This path does not take that method."}

_log = structlog.get_logger("upstream.problem")


class Violation(BaseModel):
    """One thing that is wrong with what was sent."""

    model_config = ConfigDict(frozen=True)

    where: Annotated[
        str, Field(description="A JSON pointer into the body (RFC 6901), or a query parameter's name.")
    ]
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="The machine-readable reason.")]
    request_id: Annotated[str, Field(description="Names this request in the logs.")]
    errors: list[Violation] | None = None


class ProblemError(Exception):
    """An answer that a view gives in place of a result."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: list[Violation] | None = None,
) -> Response:
    """Make a problem response.

    Args:
        status: the HTTP status.
        code: the machine-readable reason, in snake_case.
        detail: a sentence for whoever reads it.
        headers: further response headers.
        errors: what exactly is wrong with the input.
    """
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=g.get("request_id", ""),
        errors=errors,
    )
    return Response(body.model_dump_json(exclude_none=True), status, headers, content_type=MEDIA_TYPE)


def install(app: Quart) -> None:
    """Have an application answer every error as a problem."""
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(RequestSchemaValidationError, _on_invalid_input)
    app.register_error_handler(RefusalError, _on_refusal)
    app.register_error_handler(ProblemError, _on_problem)
    app.register_error_handler(InternalServerError, _on_unexpected)


async def _on_http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    phrase = HTTPStatus(status).phrase
    code = re.sub(r"[^a-z]+", "_", phrase.lower())
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in {"content-type", "content-length"}
    }
    return problem(status, code, _DETAILS.get(status) or error.description or phrase, headers=headers)


async def _on_invalid_input(error: RequestSchemaValidationError) -> Response:
    in_query = isinstance(error, QuerystringValidationError)
    errors = []
    if isinstance(error.validation_error, ValidationError):
        # Neither the value sent nor the library's links: the client has the one and needs not the other.
        found = error.validation_error.errors(include_input=False, include_url=False, include_context=False)
        errors = [Violation(where=_where(entry["loc"], in_query), detail=entry["msg"]) for entry in found]
    if in_query:
        return problem(
            400, "bad_query", "The query parameters are not valid.", errors=errors[:MAX_VIOLATIONS]
        )
    # RFC 9110 section 15.5.21: well-formed, of the right media type, but not to be processed.
    return problem(422, "invalid_body", "The request body is not valid.", errors=errors[:MAX_VIOLATIONS])


def _where(location: tuple[int | str, ...], in_query: bool) -> str:
    if in_query:
        return str(location[0]) if location else ""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


async def _on_refusal(error: RefusalError) -> Response:
    _log.info("refused", status=error.status, code=error.code, reason=error.reason)
    return problem(error.status, error.code, error.detail, headers=error.headers())


async def _on_problem(error: ProblemError) -> Response:
    return problem(error.status, error.code, error.detail, headers=error.headers)


async def _on_unexpected(_error: InternalServerError) -> Response:
    # Quart has logged the exception with its trace by now; the client learns the request id and nothing else.
    return problem(500, "internal_error", "Something went wrong on our side.")
