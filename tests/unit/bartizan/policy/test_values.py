"""Single values: what is written is what is meant, and what can't be meant is refused."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy.values import (
    Frequency,
    read_by,
    read_duration,
    read_frequency,
    read_host,
    read_path,
    read_size,
    split_url,
    write_duration,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("5s", 5), ("2m", 120), ("1h", 3600), ("1.5s", 1.5), ("0s", 0)]
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", 5, "5 s", "-5s", "5d", "1h30m", "\u0665s", None, True, "5S"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        read_duration(text)


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_is_written_as_it_is_read(seconds: float) -> None:
    assert read_duration(write_duration(seconds)) == seconds


@given(st.integers(1, 2**30))
def test_a_size_is_written_as_it_is_read(size: int) -> None:
    if len(write_size(size).rstrip(string.ascii_letters)) <= 9:  # more digits than a person writes
        assert read_size(write_size(size)) == size


@pytest.mark.parametrize("text", ["1MB", "1 MiB", "1.5MiB", 1024, "", "MiB", "0KiB", "2000GiB"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a"):
        read_size(text)


@given(st.integers(1, 1_000_000), st.sampled_from([1, 60, 3600]))
def test_a_frequency_is_written_as_it_is_read(count: int, period: int) -> None:
    assert read_frequency(str(Frequency(count, period))) == Frequency(count, period)


@pytest.mark.parametrize("text", ["0/s", "1000001/s", "5/d", "5", "5/ s", "/s", 5])
def test_what_is_no_frequency_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        read_frequency(text)


def test_header_names_are_folded() -> None:
    assert read_by("header:X-API-Key") == "header:x-api-key"


@pytest.mark.parametrize("text", ["header:", "header:a b", "Address", "cookie:a", "", 1])
def test_what_is_not_counted_by_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="allowed: address, client"):
        read_by(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("API.example.com", "api.example.com"), ("127.0.0.1", "127.0.0.1"), ("[::0001]", "[::1]")],
)
def test_a_host_is_folded(text: str, host: str) -> None:
    assert read_host(text) == host


@pytest.mark.parametrize("text", ["a:80", "https://a", "a_b..c", "-a", "::1", "[x]", "", "ü.example", "a b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        read_host(text)


@given(st.text(st.sampled_from("ab/.%*\\ é?#;"), max_size=12))
def test_a_path_that_passes_is_canonical(text: str) -> None:
    try:
        path = read_path(text)
    except ValueError:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert not set(path) & set("%*\\ é?#")


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "ftp://a",
        "http://a:0",
        "http://a:x",
        "http://a b",
        'http://a"',
        "http://[::1",
        "http://a;b",
        "//a",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is not a URL|which is not a host name"):
        split_url(url)


@pytest.mark.parametrize(
    "url", ["http://a", "https://a.example:8443/x?y=z", "http://[::1]:80", "http://127.0.0.1"]
)
def test_a_url_is_taken(url: str) -> None:
    assert split_url(url).scheme in {"http", "https"}
