"""The OpenAPI document: what quart-schema reads from the views, with the errors of each."""

from collections.abc import Callable
from typing import Any, TypeVar

from quart import Quart
from quart_schema import Info, OAuth2SecurityScheme, OpenAPIProvider, QuartSchema, document_response

from upstream.problem import MEDIA_TYPE, Problem
from upstream.settings import Settings
from upstream.tokens.requires import SCHEME

_View = TypeVar("_View", bound=Callable[..., Any])


def fails_with(*statuses: int) -> Callable[[_View], _View]:
    """Document the statuses of a view's problem responses."""

    def decorate(view: _View) -> _View:
        for status in statuses:
            view = document_response(Problem, status)(view)
        return view

    return decorate


class _Provider(OpenAPIProvider):
    """Gives problems their media type, which quart-schema takes for application/json."""

    def build_response_object(self, model: Any, headers_model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        response, components = super().build_response_object(model, headers_model)
        if model is Problem:
            response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
        return response, components


def install(app: Quart, settings: Settings) -> None:
    """Publish the document at /openapi.json.

    The browsable pages that quart-schema offers load scripts from elsewhere, so they stay off.
    """
    scopes = {"users:read": "List, search and read users.", "users:write": "Add users."}
    QuartSchema(
        app,
        openapi_path="/openapi.json",
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        info=Info(title="Users", version="1", summary="The example data service behind the gateway."),
        security_schemes={
            SCHEME: OAuth2SecurityScheme(
                flows={"clientCredentials": {"tokenUrl": f"{settings.issuer}/oauth/token", "scopes": scopes}}
            )
        },
        conversion_preference="pydantic",
        openapi_provider_class=_Provider,
    )
