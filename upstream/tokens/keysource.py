"""The issuer's key set, kept fresh by one background task.

Requests only ever read what is there. One task fetches, so there is never more than one fetch under way; a
set that does not validate, or an issuer that does not answer, leaves the last good set in use.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Collection

import httpx
import structlog

from upstream.tokens.keyset import InvalidKeySetError, KeySet, read

MAX_BYTES = 256 * 1024
TIMEOUT = 10.0
MIN_AGE, DEFAULT_AGE, MAX_AGE = 30.0, 300.0, 3600.0
# Without any key the service can do nothing but answer 503, so it asks more often than with a stale set:
# often at first, since an issuer that starts beside it is there in a moment, and less the longer that lasts.
RETRY_WITHOUT_KEYS, LONGEST_RETRY_WITHOUT_KEYS, RETRY_WITH_KEYS = 0.2, 2.0, 30.0
RETRY_SHARE = 1 / 8
# A flood of tokens with made-up key ids must not become a flood of fetches.
UNKNOWN_KEY_INTERVAL = 60.0

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})")


class KeySource:
    """The keys of one issuer.

    Attributes:
        keys: the last good set, None until there has been one.
    """

    def __init__(
        self,
        url: str,
        algorithms: Collection[str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a source; nothing is fetched before `running`.

        Args:
            url: where the key set is published.
            algorithms: what the keys may be for.
            transport: how to reach it, the network if None.
            clock: seconds that never run backwards.
        """
        self.keys: KeySet | None = None
        self._url = url
        self._algorithms = algorithms
        self._transport = transport
        self._clock = clock
        self._wanted = asyncio.Event()
        self._asked = -UNKNOWN_KEY_INTERVAL
        self._began = clock()
        self._log = structlog.get_logger("upstream.keys")

    def ask_for_refresh(self) -> None:
        """Have the set fetched soon, because a token named a key that is not in it; at most once a minute."""
        now = self._clock()
        if now - self._asked >= UNKNOWN_KEY_INTERVAL:
            self._asked = now
            self._wanted.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the set fresh while the context is open."""
        task = asyncio.create_task(self._keep_fresh(), name="upstream-keys")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_fresh(self) -> None:
        # Neither proxies from the environment nor redirects: the keys come from the one URL that was
        # configured.
        async with httpx.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=TIMEOUT / 2
        ) as client:
            while True:
                delay = await self._refresh(client)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), delay)
                self._wanted.clear()

    async def _refresh(self, client: httpx.AsyncClient) -> float:
        """Fetch the set once and return the seconds until it should be fetched again."""
        try:
            async with asyncio.timeout(TIMEOUT):
                keys, delay = await self._fetch(client)
        except (httpx.HTTPError, InvalidKeySetError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            self._log.warning("key_set_not_taken", url=self._url, reason=reason, stale=self.keys is not None)
            return retry_without_keys(self._clock() - self._began) if self.keys is None else RETRY_WITH_KEYS
        if self.keys is None or keys.keys() != self.keys.keys():
            self._log.info("key_set_taken", url=self._url, kids=sorted(keys))
        self.keys = keys
        return delay

    async def _fetch(self, client: httpx.AsyncClient) -> tuple[KeySet, float]:
        async with client.stream(
            "GET", self._url, headers={"Accept": "application/jwk-set+json, application/json"}
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                raise InvalidKeySetError(f"the issuer answered {answer.status_code}")
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise InvalidKeySetError(f"the answer is longer than {MAX_BYTES} bytes")
        return read(bytes(body), self._algorithms), _lifetime(answer.headers.get("Cache-Control", ""))


def retry_without_keys(waited: float) -> float:
    """Return the seconds until the next try, where there have been no keys for so many seconds."""
    return min(max(RETRY_WITHOUT_KEYS, waited * RETRY_SHARE), LONGEST_RETRY_WITHOUT_KEYS)


def _lifetime(cache_control: str) -> float:
    match = _MAX_AGE.search(cache_control.lower())
    age = float(match[1]) if match else DEFAULT_AGE
    return min(max(age, MIN_AGE), MAX_AGE)
