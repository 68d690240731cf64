"""`@requires("users:read")`: the scope that a view demands of its caller."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from quart import g, has_websocket_context, request, websocket
from quart_schema import security_scheme

from upstream.services import services
from upstream.tokens import bearer
from upstream.tokens.refusal import KeysUnavailableError
from upstream.tokens.verifier import Caller, UnknownKeyError

# The name that the OpenAPI document gives to the way of authenticating.
SCHEME = "oauth2"

_Args = ParamSpec("_Args")
_Answer = TypeVar("_Answer")
_View = Callable[_Args, Awaitable[_Answer]]


def requires(scope: str) -> Callable[[_View[_Args, _Answer]], _View[_Args, _Answer]]:
    """Admit only callers whose access token grants a scope; works for HTTP and WebSocket views.

    Args:
        scope: what the token must grant.

    Returns:
        The decorator. The view finds who is calling with `caller()`.
    """

    def decorate(view: _View[_Args, _Answer]) -> _View[_Args, _Answer]:
        @wraps(view)
        async def guarded(*args: _Args.args, **kwargs: _Args.kwargs) -> _Answer:
            g.caller = _identify()
            g.caller.must_have(scope)
            return await view(*args, **kwargs)

        return security_scheme([{SCHEME: [scope]}])(guarded)

    return decorate


def caller() -> Caller:
    """Return who is calling, in a view that `requires` a scope."""
    return cast("Caller", g.caller)


def _identify() -> Caller:
    headers = websocket.headers if has_websocket_context() else request.headers
    token = bearer.read(headers.getlist("Authorization"))
    service = services()
    if service.keys.keys is None:
        raise KeysUnavailableError("no key set has been fetched yet")
    try:
        return service.verifier.verify(token, service.keys.keys)
    except UnknownKeyError:
        service.keys.ask_for_refresh()
        raise
