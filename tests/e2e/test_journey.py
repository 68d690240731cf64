"""What a client of the gateway lives through: a token, calls, refusals, streams. Everything is real.

The gateway has the demo policy, but for one limit that is made low enough to be met.
"""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.asyncio.client
import websockets.exceptions

from tests.support.stack import DEMO, READER, Stack

LOW_LIMIT = "/verify_token"
BURST = 3

JSON = {"Content-Type": "application/json"}


def lower_the_limit(policy: dict[str, Any]) -> None:
    """Let only so many through that the next one is too many, however slow the machine is."""
    (route,) = [route for route in policy["routes"] if route.get("path") == LOW_LIMIT]
    route["rate"] = {"limit": "1/m", "burst": BURST, "by": "address"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(lower_the_limit) as stack:
        yield stack


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(stack: Stack, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client without a token that speaks one version of HTTP."""
    two = request.param == "HTTP/2"
    with stack.gateway.client(http1=not two, http2=two) as client:
        assert client.get("/healthz").http_version == request.param
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def new_user(**changes: Any) -> dict[str, Any]:
    return {"name": "Mary Jackson", "email": f"{uuid.uuid4().hex}@example.org", **changes}


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


def test_a_client_gets_a_token_and_uses_it(stack: Stack, client: httpx.Client) -> None:
    granted = client.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "audience": "data"},
        auth=(DEMO, stack.secrets[DEMO]),
    )
    assert granted.status_code == 200
    assert granted.headers["Cache-Control"] == "no-store"
    client.headers.update(bearer(granted.json()["access_token"]))

    listed = client.get("/api/users", params={"limit": 2})
    assert listed.status_code == 200
    assert [user["name"] for user in listed.json()["users"]] == ["Ada Lovelace", "Grace Hopper"]
    assert client.get(listed.json()["next"]).status_code == 200

    attack = client.post("/api/users", json=new_user(about="<script>alert(1)</script>"))
    assert (attack.status_code, problem_of(attack)["code"]) == (403, "waf_refused")
    user = new_user(about="I <3 maths & music")
    added = client.post("/api/users", json=user)
    assert added.status_code == 201
    read = client.get(added.headers["Location"])
    assert read.json() == added.json()
    assert {name: read.json()[name] for name in user} == user
    found = client.get("/api/users", params={"q": user["email"]})
    assert found.json()["users"] == [read.json()]
    card = client.get(f"{added.headers['Location']}/card")
    assert card.headers["Content-Type"].startswith("text/html")
    assert "I &lt;3 maths &amp; music" in card.text


def test_the_metadata_leads_to_the_token_endpoint(stack: Stack, client: httpx.Client) -> None:
    metadata = client.get("/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == stack.gateway.https
    assert metadata["token_endpoint"] == f"{stack.gateway.https}/oauth/token"
    keys = client.get(metadata["jwks_uri"]).json()["keys"]
    assert keys
    assert all("d" not in key for key in keys)


def test_no_token_is_refused(client: httpx.Client) -> None:
    for answer in (client.get("/api/users"), client.post("/api/users", json=new_user())):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="data"'
        assert problem_of(answer)["code"] == "token_missing"


def test_a_bad_token_is_refused(stack: Stack, client: httpx.Client) -> None:
    good = stack.token()
    first, second, signature = good.split(".")
    forged = f"{first}.{second}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for token in ("a.b.c", forged, f"{first}.{second}.", "x" * 10_000):
        answer = client.get("/api/users", headers=bearer(token))
        assert answer.status_code == 401
        assert problem_of(answer)["code"] == "token_invalid"
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert client.get("/api/users", headers=bearer(good)).status_code == 200


def test_a_token_that_may_only_read_can_not_add(stack: Stack, client: httpx.Client) -> None:
    client.headers.update(bearer(stack.token(READER)))
    user = new_user()
    answer = client.post("/api/users", json=user)
    assert answer.status_code == 403
    assert problem_of(answer)["code"] == "insufficient_scope"
    assert 'scope="users:write"' in answer.headers["WWW-Authenticate"]
    assert client.get("/api/users", params={"q": user["email"]}).json()["users"] == []


def test_the_service_itself_refuses_it_too(stack: Stack) -> None:
    """Whoever got past the gateway would stand before the same question again."""
    with httpx.Client(base_url=stack.upstream.url, trust_env=False) as client:
        assert client.post("/api/users", json=new_user()).status_code == 401
        client.headers.update(bearer(stack.token(READER)))
        assert client.get("/api/users").status_code == 200
        assert client.post("/api/users", json=new_user()).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/admin", "/api", "/api/usersecret", "/healthz/x", "/openapi.json", "/static/x"]
)
def test_what_no_route_names_is_not_found(stack: Stack, client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=bearer(stack.token()))
    assert answer.status_code == 404
    assert problem_of(answer)["code"] == "no_route"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS"])
def test_a_wrong_method_is_named_with_the_right_ones(stack: Stack, client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/api/users", headers=bearer(stack.token()))
    assert answer.status_code == 405
    assert problem_of(answer)["code"] == "method_not_allowed"
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_too_many_requests_are_told_when_to_come_back(stack: Stack, client: httpx.Client) -> None:
    form = {"access_token": stack.token(), "audience": "data"}
    answers = [client.post(LOW_LIMIT, data=form) for _ in range(BURST + 1)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    answer = answers[-1]
    assert answer.status_code == 429
    assert problem_of(answer)["code"] == "rate_limited"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "RateLimit" in answer.headers
    # The limit is this route's own.
    assert client.get("/api/users", headers=bearer(form["access_token"])).status_code == 200


def test_errors_of_the_service_come_through_as_they_are(stack: Stack, client: httpx.Client) -> None:
    client.headers.update(bearer(stack.token()))
    taken = new_user()
    assert client.post("/api/users", json=taken).status_code == 201
    for answer, status, code in (
        (client.post("/api/users", json=taken), 409, "email_taken"),
        (client.post("/api/users", json={}), 422, "invalid_body"),
        (
            client.post("/api/users", content=b"{", headers={"Content-Type": "application/json"}),
            400,
            "not_inspected",
        ),
        (
            # Deeper than the service reads, but not than the gateway.
            client.post(
                "/api/users", content=b"[" * 40 + b"]" * 40, headers={"Content-Type": "application/json"}
            ),
            400,
            "bad_request",
        ),
        (client.get("/api/users", params={"limit": "0"}), 400, "bad_query"),
        (client.get("/api/users/999999"), 404, "no_user"),
    ):
        assert answer.status_code == status
        assert problem_of(answer)["code"] == code


def test_a_body_over_the_services_bound(stack: Stack, client: httpx.Client) -> None:
    answer = client.post(
        "/api/users", content=b'"' + b"a" * 100_000 + b'"', headers=bearer(stack.token()) | JSON
    )
    assert answer.status_code == 413
    assert problem_of(answer)["code"] == "request_entity_too_large"


def test_only_safe_redirects_leave(stack: Stack, client: httpx.Client) -> None:
    stack.upstream.expect_event("unsafe_redirect")
    client.headers.update(bearer(stack.token()))
    safe, unsafe = client.get("/api/users/1/website"), client.get("/api/users/2/website")
    assert (safe.status_code, safe.headers["Location"]) == (302, "https://github.com/")
    assert unsafe.status_code == 403
    assert "Location" not in unsafe.headers


def test_one_request_id_leads_through_all_logs(stack: Stack, client: httpx.Client) -> None:
    answer = client.get("/api/users", headers=bearer(stack.token()) | {"X-Request-Id": "forged"})
    request_id = answer.headers["X-Request-Id"]
    assert request_id != "forged"
    line = stack.gateway.wait_for_access(lambda line: request_id in json.dumps(line))
    assert DEMO in json.dumps(line)
    ours = [event for event in stack.upstream.events if event.get("request_id") == request_id]
    assert [(event["event"], event["status"], event["client_id"]) for event in ours] == [
        ("request", 200, DEMO)
    ]


def test_a_refusal_is_in_the_audit_log_and_the_token_in_no_log(stack: Stack, client: httpx.Client) -> None:
    token = stack.token()
    answer = client.post("/api/users", json=new_user(), headers=bearer(f"{token}x"))
    assert answer.status_code == 401
    request_id = answer.headers["X-Request-Id"]
    event = stack.gateway.wait_for_audit(lambda event: request_id in json.dumps(event))
    assert "token_invalid" in json.dumps(event)
    logs = json.dumps([stack.gateway.access(), stack.gateway.audit(), stack.upstream.events])
    assert token.split(".")[1] not in logs + stack.gateway.stderr()


def test_events_arrive_when_they_happen(stack: Stack, client: httpx.Client) -> None:
    client.headers.update(bearer(stack.token()))
    with client.stream("GET", "/api/users/events") as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        # The stream goes on: what is read here was not held back until its end.
        assert [next(lines) for _ in range(3)] == ["retry: 3000", ": connected", ""]
        with stack.client() as other:
            added = [other.post("/api/users", json=new_user()).json() for _ in range(2)]
        heard: list[Any] = []
        while len(heard) < len(added):
            line = next(lines)
            if line.startswith("data: "):
                heard.append(json.loads(line.removeprefix("data: ")))
        assert heard == added


async def test_a_websocket_talks_through_the_gateway(stack: Stack) -> None:
    address = stack.gateway.https.replace("https:", "wss:") + "/api/users/live"
    context = stack.gateway.context()
    async with websockets.asyncio.client.connect(
        address, ssl=context, additional_headers=bearer(stack.token(READER)), proxy=None
    ) as socket:
        for message in ("hello", "æøå \U0001f600", "x" * 20_000, b"\x00\xff"):
            await socket.send(message)
            assert await asyncio.wait_for(socket.recv(), 20) == message
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await websockets.asyncio.client.connect(address, ssl=context, proxy=None)
    assert refused.value.response.status_code == 401


def curl(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Run curl and return the status, the version of HTTP and the body."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            stack.gateway.ca,
            "-w",
            "\n%{http_code} %{http_version}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    body, _, last = done.stdout.rpartition("\n")
    status, version = last.split()
    return int(status), version, body


@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_curl_lives_through_the_same(stack: Stack, option: str, version: str, family: str) -> None:
    users = f"{stack.gateway.https}/api/users"
    basic = f"{DEMO}:{stack.secrets[DEMO]}"
    form = ("-d", "grant_type=client_credentials", "-d", "audience=data")
    status, spoken, body = curl(
        stack, family, option, "-u", basic, *form, f"{stack.gateway.https}/oauth/token"
    )
    assert (status, spoken) == (200, version)
    authorization = ("-H", f"Authorization: Bearer {json.loads(body)['access_token']}")
    common = (family, option)
    assert curl(stack, *common, users)[:2] == (401, version)
    assert curl(stack, *common, *authorization, users)[:2] == (200, version)
    assert curl(stack, *common, *authorization, "--json", json.dumps(new_user()), users)[0] == 201
    assert curl(stack, *common, *authorization, "-X", "DELETE", users)[0] == 405
    assert curl(stack, *common, *authorization, f"{users}ecret")[0] == 404
    assert curl(stack, *common, *authorization, "--path-as-is", f"{users}/../users/../../etc/passwd")[0] in {
        400,
        404,
    }


@pytest.mark.parametrize("option", ["--http1.1", "--http2"])
def test_a_body_over_the_gateways_bound(stack: Stack, tmp_path: Path, option: str) -> None:
    """With curl: httpx goes on waiting to send the rest of a body over HTTP/2 after the answer has come."""
    stack.gateway.expect_error("client intended to send too large body")
    body = tmp_path / "body"
    body.write_bytes(b" " * (1024 * 1024 + 1))
    authorization = f"Authorization: Bearer {stack.token()}"
    users = f"{stack.gateway.https}/api/users"
    status, _, answer = curl(stack, option, "-H", authorization, "--json", f"@{body}", users)
    assert (status, json.loads(answer)["code"]) == (413, "body_too_large")


def test_plain_http_leads_to_https(stack: Stack) -> None:
    answer = httpx.get(f"{stack.gateway.http}/api/users?q=a", trust_env=False)
    assert answer.status_code in {301, 308}
    assert answer.headers["Location"] == f"{stack.gateway.https}/api/users?q=a"
