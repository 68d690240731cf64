"""What the attacker sends, and the one status that each must get."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from load.connection import bearer
from load.target import Target

Headers = tuple[tuple[str, str], ...]

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


@dataclass(frozen=True, slots=True)
class Attack:
    """One request that must be refused.

    Attributes:
        name: under which locust shows it.
        status: what it must get.
        path: the request target, sent as it is.
        headers: sent as they are.
        method: the method.
        body: the body.
    """

    name: str
    status: int
    path: str = "/api/users"
    headers: Headers = ()
    method: str = "GET"
    body: bytes | None = None


def attacks(target: Target) -> tuple[Attack, ...]:
    """Return all of them."""
    return (*_bad_tokens(target), *_forged_headers(target), *_path_tricks(target), *_bad_requests(target))


def _bad_tokens(target: Target) -> Iterator[Attack]:
    header, claims, signature = target.token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    forged = ("A" if signature[0] != "A" else "B") + signature[1:]
    tokens = {
        "not a token": "a.b.c",
        "alg none": f"{none}.{claims}.",
        "alg none with a signature": f"{none}.{claims}.{signature}",
        "forged signature": f"{header}.{claims}.{forged}",
        "signature of another token": f"{header}.{claims}.{target.reader_token.split('.')[2]}",
        "claims of another token": f"{header}.{target.reader_token.split('.')[1]}.{signature}",
        "padded": f"{header}.{claims}.{signature}=",
        "9 KB of token": "x" * 9000,
    }
    for name, token in tokens.items():
        yield Attack(f"bad token: {name}", 401, headers=(bearer(token),))
    yield Attack("bad token: none at all", 401)
    yield Attack("bad token: two of them", 400, headers=(bearer(target.token), bearer(target.token)))
    yield Attack("bad token: in the query", 401, f"/api/users?access_token={target.token}")
    yield Attack("bad token: in a cookie", 401, headers=(("Cookie", f"access_token={target.token}"),))
    yield Attack("bad token: another scheme", 401, headers=(("Authorization", "Basic dTpw"),))


def _forged_headers(target: Target) -> Iterator[Attack]:
    reader = bearer(target.reader_token)
    forged: dict[str, Headers] = {
        "X-Client-Id": (("X-Client-Id", "demo"), ("X-Scopes", "users:read users:write")),
        "X-Forwarded-For": (("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")),
        "X-Original-URL": (("X-Original-URL", "/.well-known/jwks.json"),),
        "X_Client_Id": (("X_Client_Id", "demo"), ("X_Scopes", "users:read")),
    }
    for name, headers in forged.items():
        yield Attack(f"forged header: {name} instead of a token", 401, headers=headers)
    scopes = (reader, ("X-Scopes", "users:write"), JSON)
    yield Attack("forged header: X-Scopes", 403, headers=scopes, method="POST", body=b"{}")
    rewritten = (reader, ("X-Original-URL", "/api/users"), ("X-Rewrite-URL", "/api/users"))
    yield Attack("forged header: another path", 404, "/nowhere", rewritten)
    override = (reader, ("X-HTTP-Method-Override", "GET"))
    yield Attack("forged header: another method", 405, headers=override, method="DELETE")


# What two servers could read differently, and what no route names.
TWO_READINGS = (
    *("/api/users/../admin", "/api/users/..%2fadmin", "/api/users/%2e%2e/%2e%2e/etc/passwd", "/api/users/."),
    *("/api//users", "//api/users", "/api/users%2f1", "/api/users\\1", "/api/users/%5c..%5c"),
    *("/api/users/%00", "/api/users/%ff", "/api/users/%zz", "/api/users/#x", "/api/users/%0d%0aX:1", "*"),
)
UNKNOWN = ("/API/users", "/api/users%20", "/api/users;a=1", "/api/usersecret", "/.bartizan/c1", "/metrics")


def _path_tricks(target: Target) -> Iterator[Attack]:
    good = (bearer(target.token),)
    for path in TWO_READINGS:
        yield Attack(f"path trick: {path}", 400, path, good)
    for path in UNKNOWN:
        yield Attack(f"path trick: {path}", 404, path, good)


def _bad_requests(target: Target) -> Iterator[Attack]:
    good = bearer(target.token)
    yield Attack("bad request: TRACE", 405, headers=(good,), method="TRACE")
    many = tuple((f"X-{number}", "a") for number in range(1500))
    yield Attack("bad request: 1,500 headers", 431, headers=(good, *many))
    yield Attack("bad request: 3,000 arguments", 400, "/api/users?" + "a=1&" * 3000, (good,))
    yield Attack("bad request: 20 KB of target", 414, "/api/users?" + "a" * 20_000, (good,))
    chunked = (good, ("Transfer-Encoding", "chunked"), JSON)
    yield Attack("bad request: two lengths", 400, headers=chunked, method="POST", body=b"0\r\n\r\n")
    too_large = b" " * (1024 * 1024 + 1)
    yield Attack("bad request: body over the bound", 413, headers=(good, JSON), method="POST", body=too_large)
    wrong = b"grant_type=client_credentials&audience=data&client_id=demo&client_secret=wrong"
    yield Attack("bad request: wrong secret", 401, "/oauth/token", (FORM,), "POST", wrong)
