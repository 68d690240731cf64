"""Keeping the key set fresh: single flight, stale keys serve on, garbage is not taken."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.support.issuer import jwks
from tests.support.waiting import until
from upstream.tokens import keysource
from upstream.tokens.keysource import KeySource

URL = "http://issuer.test/jwks.json"


class Issuer(httpx.AsyncBaseTransport):
    """Answers each fetch with the next of some answers, and the last one for ever after."""

    def __init__(self, *answers: httpx.Response | httpx.HTTPError) -> None:
        self.answers = list(answers)
        self.fetches = 0
        self.under_way = 0
        self.most_under_way = 0
        self.on_fetch: Callable[[], None] = lambda: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == URL
        self.fetches += 1
        self.on_fetch()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def good(*algorithms: str, cache_control: str = "public, max-age=300") -> httpx.Response:
    return httpx.Response(200, headers={"Cache-Control": cache_control}, content=jwks(*algorithms))


def source(issuer: Issuer, clock: Callable[[], float] = lambda: 0.0) -> KeySource:
    return KeySource(URL, ("ES256", "EdDSA"), transport=issuer, clock=clock)


async def test_has_no_keys_before_it_runs_and_keeps_them_after() -> None:
    keys = source(Issuer(good("ES256")))
    assert keys.keys is None
    async with keys.running():
        await until(lambda: keys.keys is not None)
    assert keys.keys is not None
    assert list(keys.keys) == ["key-es256"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes seconds or minutes take next to nothing."""
    for name in ("MIN_AGE", "DEFAULT_AGE", "MAX_AGE", "RETRY_WITHOUT_KEYS", "RETRY_WITH_KEYS"):
        monkeypatch.setattr(keysource, name, 0.001)


BAD: dict[str, httpx.Response | httpx.HTTPError] = {
    "no connection": httpx.ConnectError("refused"),
    "a time-out": httpx.ReadTimeout("slow"),
    "a cut answer": httpx.RemoteProtocolError("cut"),
    "an error": httpx.Response(500),
    "nothing there": httpx.Response(404),
    "a redirect": httpx.Response(302, headers={"Location": "http://evil.test/"}),
    "garbage": httpx.Response(200, content=b"<html>garbage</html>"),
    "an empty set": httpx.Response(200, content=b'{"keys": []}'),
    "too much": httpx.Response(200, content=b" " * (keysource.MAX_BYTES + 1)),
    "a set with a bad key": httpx.Response(200, content=jwks("ES256", "RS512")),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", BAD.values(), ids=BAD.keys())
async def test_a_bad_answer_leaves_the_old_keys_and_the_next_good_one_replaces_them(
    answer: httpx.Response | httpx.HTTPError,
) -> None:
    issuer = Issuer(answer, good("ES256"), answer, answer, good("EdDSA"))
    keys = source(issuer)
    at_each_fetch: list[list[str]] = []
    issuer.on_fetch = lambda: at_each_fetch.append(list(keys.keys or {}))
    async with keys.running():
        await until(lambda: len(at_each_fetch) > 5)
    assert at_each_fetch[:6] == [[], [], ["key-es256"], ["key-es256"], ["key-es256"], ["key-eddsa"]]


@pytest.mark.parametrize(("waited", "delay"), [(0, 0.2), (1, 0.2), (8, 1), (16, 2), (3600, 2)])
def test_an_issuer_that_starts_beside_it_is_met_soon(waited: float, delay: float) -> None:
    assert keysource.retry_without_keys(waited) == delay


@pytest.mark.usefixtures("impatient")
async def test_there_is_never_more_than_one_fetch() -> None:
    issuer = Issuer(good("ES256"))
    keys = source(issuer)
    async with keys.running():
        for _ in range(100):
            keys.ask_for_refresh()
            await asyncio.sleep(0)
        await until(lambda: issuer.fetches > 5)
    assert issuer.most_under_way == 1


async def test_unknown_keys_cause_one_fetch_a_minute() -> None:
    now = 1000.0
    issuer = Issuer(good("ES256"))
    keys = source(issuer, lambda: now)
    async with keys.running():
        await until(lambda: keys.keys is not None)
        for _ in range(1000):
            keys.ask_for_refresh()
        await until(lambda: issuer.fetches == 2)
        now += 59.9
        keys.ask_for_refresh()
        await asyncio.sleep(0.02)
        assert issuer.fetches == 2
        now += 0.2
        keys.ask_for_refresh()
        await until(lambda: issuer.fetches == 3)


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("public, max-age=300", 300),
        ("max-age=60", 60),
        ("MAX-AGE = 90", 90),
        ("max-age=1", 30),
        ("max-age=0", 30),
        ("max-age=999999", 3600),
        ("s-maxage=60", 300),
        ("no-store", 300),
        ("", 300),
        ("max-age=soon", 300),
    ],
)
async def test_asks_again_when_the_issuer_says_within_bounds(
    cache_control: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def wait_for(waiting: Awaitable[object], delay: float) -> None:
        waited.append(delay)
        asyncio.ensure_future(waiting).cancel()
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio, "wait_for", wait_for)
    async with source(Issuer(good("ES256", cache_control=cache_control))).running():
        await until(lambda: bool(waited))
    assert waited == [seconds]
