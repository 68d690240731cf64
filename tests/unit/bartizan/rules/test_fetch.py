"""Fetching a release."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bartizan.errors import BartizanError
from bartizan.rules import fetch as module
from bartizan.rules.fetch import fetch

URL = "https://example.com/crs.tar.gz"
Answer = Callable[[httpx.Request], httpx.Response]


def _fetch(folder: Path, answer: Answer, url: str = URL) -> bytes:
    target = folder / "archive"
    fetch(url, target, httpx.MockTransport(answer))
    return target.read_bytes()


def test_what_is_answered_is_saved_as_it_came(tmp_path: Path) -> None:
    # A .tar.gz is gzip as a content, and some servers say so of its encoding too: it must not be taken apart.
    headers = {"Content-Encoding": "gzip"}
    assert (
        _fetch(tmp_path, lambda _: httpx.Response(200, headers=headers, stream=_Pieces([b"a", b"b"])))
        == b"ab"
    )


class _Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


def test_redirects_are_followed(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/crs.tar.gz":
            return httpx.Response(302, headers={"Location": "https://other.example/real"})
        assert request.headers["Accept-Encoding"] == "identity"
        return httpx.Response(200, stream=_Pieces([b"real"]))

    assert _fetch(tmp_path, answer) == b"real"


def test_a_redirect_away_from_https_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match=r"http://example\.com/x is not https; .* redirects included"):
        _fetch(tmp_path, lambda _: httpx.Response(302, headers={"Location": "http://example.com/x"}))


def test_redirects_end(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match=r"can't be fetched: .*redirects"):
        _fetch(tmp_path, lambda request: httpx.Response(302, headers={"Location": str(request.url)}))


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com/x", "file:///etc/passwd"])
def test_nothing_but_https_is_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match="is not https"):
        _fetch(tmp_path, lambda _: httpx.Response(200), url)


@pytest.mark.parametrize("url", ["https://exa mple.com:port/", "https://[::1/"])
def test_what_is_no_address(url: str, tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match="can't be fetched"):
        _fetch(tmp_path, lambda _: httpx.Response(200), url)


def test_another_status_is_told(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match=r"crs\.tar\.gz answers 404"):
        _fetch(tmp_path, lambda _: httpx.Response(404, content=b"not found"))


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(BartizanError, match=r"crs\.tar\.gz can't be fetched: Connection refused"):
        _fetch(tmp_path, answer)


@pytest.mark.parametrize(("size", "good"), [(8, True), (9, False)])
def test_the_size_is_bounded(size: int, good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_ARCHIVE", 8)
    pieces = _Pieces([b"x"] * size)
    if good:
        assert _fetch(tmp_path, lambda _: httpx.Response(200, stream=pieces)) == b"x" * size
    else:
        with pytest.raises(BartizanError, match="has more than 8 bytes"):
            _fetch(tmp_path, lambda _: httpx.Response(200, stream=pieces))
