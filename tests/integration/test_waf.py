"""The rule engine in a running gateway, with Debian's Core Rule Set: an attack, and its twin that passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.support.backend import Backend, Respond, takeover
from tests.support.exposition import parse
from tests.support.gateway import Gateway, wait_for
from tests.support.http2 import Connection, request
from tests.support.raw import status_of

SQL: Final = "1' UNION SELECT password FROM users -- "
SCRIPT: Final = "<script>alert(document.cookie)</script>"
SHELL: Final = "; cat /etc/passwd"
JWT: Final = "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}
METHODS: Final = ["GET", "POST", "PUT"]


def policy(backend: Backend) -> dict[str, Any]:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        return {"prefix": path, "methods": METHODS, "upstream": "data", "auth": "none", **settings}

    # Or no Content-Encoding would come so far.
    usual = {"exclusions": [{"rule": 920450}]}
    exclusions = [
        {"parameter": "args:text", "tag": "attack-sqli", "reason": "people write about databases"},
        {"parameter": "cookie:draft", "tag": "attack-xss"},
        {"parameter": "header:referer", "tag": "attack-xss"},
    ]
    return {
        "workers": 1,
        "upstreams": {"data": {"servers": [backend.url]}},
        "defaults": {
            "body": "8MiB",
            "rate": {"limit": "1000000/s", "burst": 1000000},
            "waf": {"mode": "enforce", "paranoia": 1, **usual},
        },
        "routes": [
            route("/"),
            route("/watched", waf={"mode": "observe", **usual}),
            route("/forum", waf={"exclusions": exclusions}),
            route("/lenient", waf={"thresholds": {"inbound": 1000}}),
            route("/small", waf={"window": "1KiB", **usual}),
            route("/upload", waf={"window": "1KiB", "incomplete": "pass", **usual}),
            route("/cors", cors={"origins": ["https://app.example"]}),
            route("/off", waf="off"),
        ],
    }


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[Gateway]:
    with Gateway(policy(backend)) as running:
        yield running


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    # A host by address would match a rule.
    with gateway.client(headers={"Host": "shop.example", "User-Agent": "Mozilla/5.0"}) as open_client:
        yield open_client


def event_of(gateway: Gateway, answer: httpx.Response | str) -> dict[str, Any]:
    """Return the event of a request."""
    identity = answer if isinstance(answer, str) else answer.headers["X-Request-Id"]
    return gateway.wait_for_audit(lambda event: event["request_id"] == identity)


def has_event(gateway: Gateway, answer: httpx.Response) -> bool:
    """Whether the audit log has something of a request; its line in the access log comes after it."""
    identity = answer.headers["X-Request-Id"]
    gateway.wait_for_access(lambda line: line["request_id"] == identity)
    return any(event["request_id"] == identity for event in gateway.audit())


def refused(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """Check that a request was refused, and that the client learned nothing of why; return the event."""
    assert answer.status_code == 403
    problem = answer.json()
    assert problem["code"] == "waf_refused"
    event = event_of(gateway, answer)
    assert (event["guard"], event["decision"], event["code"]) == ("waf", "refused", "waf_refused")
    assert event["waf"]["score"] >= event["waf"]["threshold"] == 5
    for match in event["waf"]["matches"]:
        assert str(match["rule"]) not in answer.text
    return event


def rules(event: Mapping[str, Any]) -> set[int]:
    return {match["rule"] for match in event["waf"]["matches"]}


def variables(event: Mapping[str, Any]) -> set[str]:
    return {match["variable"] for match in event["waf"]["matches"]}


@pytest.mark.parametrize(
    ("bad", "good", "variable"),
    [
        ({"params": {"q": SQL}}, {"params": {"q": "O'Brien"}}, "ARGS:q"),
        ({"params": {"q": SCRIPT}}, {"params": {"q": "a < b and c > d"}}, "ARGS:q"),
        ({"params": {"name": SHELL}}, {"params": {"name": "cats; dogs"}}, "ARGS:name"),
        ({"params": {SCRIPT: "1"}}, {"params": {"a b": "1"}}, "ARGS_NAMES:" + SCRIPT),
        (
            {"headers": {"User-Agent": "sqlmap/1.7"}},
            {"headers": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}},
            "REQUEST_HEADERS:user-agent",
        ),
        (
            {"headers": {"Referer": f"https://a.example/?q={quote(SCRIPT)}"}},
            {"headers": {"Referer": "https://a.example/?q=select"}},
            "REQUEST_HEADERS:referer",
        ),
        (
            {"headers": {"Cookie": f"theme={quote(SCRIPT)}"}},
            {"headers": {"Cookie": "theme=dark"}},
            "REQUEST_COOKIES:theme",
        ),
        ({"data": {"comment": SQL}}, {"data": {"comment": "select a gift from the list"}}, "ARGS:comment"),
        (
            {"json": {"order": {"note": SQL}}},
            {"json": {"order": {"note": "O'Brien"}}},
            "ARGS:json.order.note",
        ),
        ({"json": [1, [SCRIPT]]}, {"json": [1, ["code"]]}, "ARGS:json.array_1.array_0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_attack_and_its_twin(
    gateway: Gateway,
    backend: Backend,
    client: httpx.Client,
    bad: dict[str, Any],
    good: dict[str, Any],
    variable: str,
) -> None:
    backend.forget()
    method = "POST" if {"data", "json"} & set(bad) else "GET"
    event = refused(gateway, client.request(method, "/", **bad))
    assert variable in variables(event)
    assert event["waf"]["body"] == "full"
    assert backend.requests == []
    answer = client.request(method, "/", **good)
    assert answer.status_code == 200
    assert not has_event(gateway, answer)
    (forwarded,) = backend.requests
    assert forwarded.body == answer.request.content


def test_an_event_says_what_matched(gateway: Gateway, client: httpx.Client) -> None:
    event = refused(gateway, client.get("/", params={"q": SQL}))
    said = event["waf"]
    assert said["paranoia"] == 1
    assert said["crs"].startswith("3.3")
    assert (said["body"], said["why"]) == ("full", "")
    match = next(match for match in said["matches"] if match["rule"] == 942100)
    assert match["severity"] == "CRITICAL"
    assert "SQL" in match["message"]
    assert "attack-sqli" in match["tags"]
    assert match["variable"] == "ARGS:q"
    assert match["value"]
    assert match["paranoia"] == 1
    assert 949110 in rules(event)
    assert "942100" in event["reason"]


def test_a_path_is_inspected(gateway: Gateway, client: httpx.Client) -> None:
    assert 930130 in rules(refused(gateway, client.get("/files/.htaccess")))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_in_chunks(gateway: Gateway, backend: Backend, size: int) -> None:
    for text, status in ((SQL, 403), ("O'Brien " * 4, 200)):
        body = b"a=1&comment=" + quote(text).encode()
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: a\r\nAccept: */*\r\n"
        head += b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        backend.forget()
        assert status_of(gateway.raw(head + sent)) == status
        assert [one.body for one in backend.requests] == ([body] if status == 200 else [])


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(("text", "status"), [(SQL, 403), ("O'Brien", 200)])
def test_a_body_over_http2(gateway: Gateway, backend: Backend, length: bool, text: str, status: int) -> None:
    body = b"comment=" + quote(text).encode()
    fields = [
        *request("/", "POST", "shop.example"),
        (b"user-agent", b"a"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    if length:
        fields.append((b"content-length", str(len(body)).encode()))
    context = gateway.context()
    context.set_alpn_protocols(["h2"])
    backend.forget()
    with Connection(port_of_https(gateway), context) as connection:
        answer = connection.exchange(fields, body)
    assert answer.status == status
    assert [one.body for one in backend.requests] == ([body] if status == 200 else [])


def port_of_https(gateway: Gateway) -> int:
    return int(gateway.https.rpartition(":")[2])


def test_http2_without_a_body(gateway: Gateway) -> None:
    context = gateway.context()
    context.set_alpn_protocols(["h2"])
    extra = [(b"user-agent", b"a"), (b"accept", b"*/*")]
    with Connection(port_of_https(gateway), context) as connection:
        good = connection.exchange([*request("/?q=1", "GET", "shop.example"), *extra])
        bad = connection.exchange([*request(f"/?q={quote(SQL)}", "GET", "shop.example"), *extra])
    assert (good.status, bad.status) == (200, 403)


def test_observe_tells_all_and_refuses_nothing(
    gateway: Gateway, backend: Backend, client: httpx.Client
) -> None:
    backend.forget()
    answer = client.post("/watched", params={"q": SCRIPT}, data={"comment": SQL})
    assert answer.status_code == 200
    assert len(backend.requests) == 1
    event = event_of(gateway, answer)
    assert (event["decision"], event["mode"], event["code"]) == ("observed", "observe", "waf_refused")
    assert event["status"] == 403
    assert {"ARGS:q", "ARGS:comment"} <= variables(event)
    assert 949110 in rules(event)
    line = gateway.wait_for_access(lambda line: line["request_id"] == event["request_id"])
    assert line["verdict"] == "passed"


def test_too_little_to_refuse_is_noted(gateway: Gateway, client: httpx.Client) -> None:
    answer = client.get("/lenient", params={"q": SQL})
    assert answer.status_code == 200
    event = event_of(gateway, answer)
    assert (event["decision"], event["mode"], event["code"]) == ("noted", "enforce", "waf_matched")
    assert event["waf"]["threshold"] == 1000
    assert 942100 in rules(event)
    assert 949110 not in rules(event)
    line = gateway.wait_for_access(lambda line: line["request_id"] == event["request_id"])
    assert line["verdict"] == "passed"


def test_an_exclusion_is_for_its_route_parameter_and_rules(gateway: Gateway, client: httpx.Client) -> None:
    assert client.post("/forum", data={"text": SQL}).status_code == 200
    refused(gateway, client.post("/forum", data={"title": SQL}))
    refused(gateway, client.post("/forum", data={"text": SCRIPT}))
    refused(gateway, client.post("/", data={"text": SQL}))
    assert client.get("/forum", headers={"Cookie": f"draft={quote(SCRIPT)}"}).status_code == 200
    refused(gateway, client.get("/forum", headers={"Cookie": f"other={quote(SCRIPT)}"}))
    referer = {"Referer": f"https://a.example/?q={quote(SCRIPT)}"}
    assert client.get("/forum", headers=referer).status_code == 200


def test_off_is_off(gateway: Gateway, client: httpx.Client) -> None:
    answer = client.post("/off", params={"q": SQL}, data={"comment": SCRIPT})
    assert answer.status_code == 200
    assert not has_event(gateway, answer)


def test_answers_to_other_origins(client: httpx.Client) -> None:
    origin = {"Origin": "https://app.example"}
    for params, status in (({"q": SQL}, 403), ({"q": "a"}, 200)):
        answer = client.get("/cors", params=params, headers=origin)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"


def not_inspected(gateway: Gateway, answer: httpx.Response, status: int, body: str, why: str) -> None:
    assert answer.status_code == status
    assert answer.json()["code"] == "not_inspected"
    event = event_of(gateway, answer)
    assert (event["decision"], event["code"], event["status"]) == ("refused", "not_inspected", status)
    assert (event["waf"]["body"], event["waf"]["why"]) == (body, why)


@pytest.mark.parametrize(
    ("content", "headers", "status", "body", "why"),
    [
        (b"a=" + b"b" * 2000, FORM, 413, "partial", "too_large"),
        (b'{"a": "' + b"b" * 2000 + b'"}', JSON, 413, "partial", "too_large"),
        (b'{"a": ', JSON, 400, "partial", "malformed"),
        (b"[" * 200, JSON, 400, "partial", "too_deep"),
        (b"a=b", FORM | {"Content-Encoding": "gzip"}, 415, "none", "encoding"),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "none", "media_type"),
        (b"<a/>", {"Content-Type": "text/xml"}, 415, "none", "media_type"),
        (f"a={quote(SQL)}".encode(), {}, 415, "partial", "media_type"),
        (json.dumps({"a": SQL}).encode(), {}, 415, "partial", "media_type"),
    ],
    ids=["form", "json", "malformed", "deep", "gzip", "multipart", "xml", "a form untold", "JSON untold"],
)
def test_what_can_not_be_inspected_whole(
    gateway: Gateway,
    backend: Backend,
    client: httpx.Client,
    content: bytes,
    headers: dict[str, str],
    status: int,
    body: str,
    why: str,
) -> None:
    """It is refused, unless the route lets it pass: then it goes on, whole, and is noted."""
    backend.forget()
    not_inspected(gateway, client.post("/small", content=content, headers=headers), status, body, why)
    assert backend.requests == []
    answer = client.post("/upload", content=content, headers=headers)
    assert answer.status_code == 200
    (forwarded,) = backend.requests
    assert forwarded.body == content
    event = event_of(gateway, answer)
    assert event["decision"] == "noted"
    assert (event["waf"]["body"], event["waf"]["why"]) == (body, why)


@pytest.mark.parametrize("at", [0, 900])
def test_the_window_of_a_long_body_is_inspected(gateway: Gateway, client: httpx.Client, at: int) -> None:
    """An attack in it is one, whatever comes behind; nginx has the body in a file."""
    body = b"a=" + b"b" * at + b"&comment=" + quote(SQL).encode() + b"&c=" + b"d" * 300_000
    for path in ("/small", "/upload"):
        event = refused(gateway, client.post(path, content=body, headers=FORM))
        assert (event["waf"]["body"], event["waf"]["why"]) == ("partial", "too_large")


def test_behind_the_window_nothing_is_seen(gateway: Gateway, client: httpx.Client, backend: Backend) -> None:
    body = b"a=" + b"b" * 300_000 + b"&comment=" + quote(SQL).encode()
    not_inspected(gateway, client.post("/small", content=body, headers=FORM), 413, "partial", "too_large")
    backend.forget()
    assert client.post("/upload", content=body, headers=FORM).status_code == 200
    (forwarded,) = backend.requests
    assert forwarded.body == body


@pytest.mark.parametrize("text", [SQL, "O'Brien"])
def test_a_body_that_nginx_put_into_a_file_is_inspected_whole(
    gateway: Gateway, backend: Backend, text: str
) -> None:
    """Chunks of a byte fill nginx's buffer with their lengths: a short body lies in a file, too, then."""
    body = b"a=" + b"b" * 900 + b"&comment=" + quote(text).encode()
    assert len(body) < 1024
    sent = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = b"POST /small HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: a\r\nAccept: */*\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    backend.forget()
    assert status_of(gateway.raw(head + sent)) == (403 if text == SQL else 200)
    assert [one.body for one in backend.requests] == ([] if text == SQL else [body])


def test_too_many_arguments(gateway: Gateway, client: httpx.Client) -> None:
    body = urlencode([(f"a{number}", "1") for number in range(1001)])
    not_inspected(gateway, client.post("/", content=body, headers=FORM), 400, "partial", "too_many")
    body = urlencode([(f"a{number}", "1") for number in range(990)])
    assert client.post("/", content=body, headers=FORM).status_code == 200


def test_secrets_are_masked(gateway: Gateway, client: httpx.Client) -> None:
    card = "4111 1111 1111 1111"
    secrets = ("hunter2", "s3cret", card, JWT)
    answers = [
        client.post("/watched", data={"password": f"hunter2{SQL}", "comment": f"{card} {SQL}"}),
        client.post("/watched", json={"user": {"pin": f"hunter2{SCRIPT}"}}),
        client.get("/watched", headers={"Cookie": f"sessionid={quote('s3cret' + SCRIPT)}"}),
        client.get("/watched", params={"next": f"{JWT}{SCRIPT}"}),
    ]
    for answer in answers:
        event = event_of(gateway, answer)
        assert event["waf"]["matches"]
        said = json.dumps(event["waf"])
        for secret in secrets:
            assert secret not in said, said
    assert "[redacted]" in json.dumps([event_of(gateway, answer)["waf"] for answer in answers])


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (f"GET /a/..%2fb?q={quote(SCRIPT)} HTTP/1.1", 400, "not_canonical"),
        (f"DELETE /?q={quote(SCRIPT)} HTTP/1.1", 405, "method_not_allowed"),
    ],
)
def test_what_the_edge_refuses_is_inspected_for_the_log(
    gateway: Gateway, line: str, status: int, code: str
) -> None:
    head = f"{line}\r\nHost: shop.example\r\nUser-Agent: a\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    answer = gateway.raw(head.encode())
    assert status_of(answer) == status
    identity = answer.lower().partition(b"x-request-id: ")[2][:32].decode()
    event = event_of(gateway, identity)
    assert (event["guard"], event["decision"], event["code"]) == ("edge", "refused", code)
    assert "ARGS:q" in variables(event)


def metric(gateway: Gateway, name: str, **labels: str) -> float:
    family = parse(httpx.get(f"{gateway.operator}/metrics", timeout=30).text)[name]
    wanted = set(labels.items())
    return sum(value for (_, pairs), value in family.samples.items() if wanted <= set(pairs))


def test_requests_and_matches_are_counted(gateway: Gateway, client: httpx.Client) -> None:
    def read() -> tuple[float, float, float, float]:
        return (
            metric(gateway, "bartizan_waf_requests_total", body="full", why=""),
            metric(gateway, "bartizan_waf_requests_total", body="partial", why="too_large"),
            metric(gateway, "bartizan_waf_matches_total", rule="942100"),
            metric(gateway, "bartizan_verdicts_total", guard="waf", decision="refused", code="waf_refused"),
        )

    before = read()
    assert client.get("/").status_code == 200
    assert client.get("/", params={"q": SQL}).status_code == 403
    assert client.post("/small", content=b"a" * 2000, headers=FORM).status_code == 413
    assert client.get("/off", params={"q": SQL}).status_code == 200
    after = tuple(count + more for count, more in zip(before, (2, 1, 1, 1), strict=True))
    wait_for(lambda: read() == after)


def test_a_websocket_is_opened(gateway: Gateway, answers: Callable[[Respond], None]) -> None:
    opened = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    answers(lambda _: takeover(opened))
    head = "HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: a\r\nAccept: */*\r\nConnection: Upgrade\r\n"
    head += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert status_of(gateway.raw(f"GET /ws {head}".encode())) == 101
    assert status_of(gateway.raw(f"GET /ws?q={quote(SQL)} {head}".encode())) == 403


def test_too_large_for_the_route_is_the_edges_refusal(gateway: Gateway, client: httpx.Client) -> None:
    gateway.expect_error("client intended to send too large")
    answer = client.post("/", content=b"a" * (9 << 20), headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
