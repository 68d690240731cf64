"""Fetching a release: HTTPS only, bounded in size and time, and never while a gateway serves."""

from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from bartizan.errors import BartizanError

LARGEST_ARCHIVE: Final = 32 * 1024 * 1024  # a release of CRS 4 has 1 MiB, with all its tests 3 MiB
_TIMEOUT: Final = httpx.Timeout(30, connect=10)
_REDIRECTS: Final = 5


def fetch(url: str, target: Path, transport: httpx.BaseTransport | None = None) -> None:
    """Save what an address answers.

    Args:
        url: an https address.
        target: the file to write.
        transport: how requests are made; None for the network.

    Raises:
        BartizanError: it is not https (a redirect's included), too large, or not to be had.
    """
    client = httpx.Client(
        timeout=_TIMEOUT,
        headers={
            "Accept-Encoding": "identity"
        },  # the checksum is of the file, not of what a server makes of it
        follow_redirects=True,
        max_redirects=_REDIRECTS,
        transport=transport,
        event_hooks={"request": [_only_https]},
    )
    try:
        with closing(client), client.stream("GET", url) as answer, target.open("wb") as file:
            if answer.status_code != httpx.codes.OK:
                raise BartizanError(
                    f"{url} answers {answer.status_code}; is it the address of a release's archive?"
                )
            size = 0
            for piece in answer.iter_raw():
                size += len(piece)
                if size > LARGEST_ARCHIVE:
                    raise BartizanError(
                        f"{url} has more than {LARGEST_ARCHIVE} bytes; no release is that large"
                    )
                file.write(piece)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BartizanError(f"{url} can't be fetched: {str(error) or type(error).__name__}") from error


def _only_https(request: httpx.Request) -> None:
    if urlsplit(str(request.url)).scheme != "https":
        raise BartizanError(
            f"{request.url} is not https; rules are fetched by https only, redirects included"
        )
