"""Which redirects are let out: a table of cases, and properties that hold for any text."""

import re
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.redirects import Origin, is_safe

SAFE = frozenset(
    {
        Origin("https", "github.com", 443),
        Origin("http", "intranet.test", 8080),
        Origin("https", "[::1]", 8443),
    }
)

ALLOWED = [
    "/",
    "/api/users",
    "/api/users?after=20&limit=10",
    "/api/users?next=https%3A%2F%2Fevil.test",
    "/search?q=100%25",
    "/a%20b/c",
    "/caf%C3%A9",
    "/users#top",
    "/.well-known/jwks.json",
    "/users/..hidden",
    "https://github.com",
    "https://github.com/",
    "https://github.com:443/ada",
    "https://github.com?tab=stars",
    "https://github.com#top",
    "HTTPS://GitHub.COM/ada",
    "http://intranet.test:8080/x//y",
    "https://[::1]:8443/",
]

REFUSED = [
    # another origin: host, port or scheme
    "https://evil.test/",
    "https://github.com.evil.test/",
    "https://evilgithub.com/",
    "https://sub.github.com/",
    "https://github.com:444/",
    "https://github.com:80/",
    "http://github.com/",
    "http://github.com:443/",
    "http://intranet.test/",
    "https://intranet.test:8080/",
    "https://[::2]:8443/",
    # without a scheme, and what browsers take for that
    "//evil.test",
    "//github.com/",
    "///evil.test",
    "////evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "\\/evil.test",
    "/\\/evil.test",
    "/ /evil.test",
    # a scheme without slashes, or with the wrong ones
    "https:evil.test",
    "https:/evil.test",
    "https:///evil.test",
    "https:\\\\evil.test",
    "https:/\\evil.test",
    "http:github.com",
    # a user name that looks like a host
    "https://github.com@evil.test/",
    "https://github.com:443@evil.test/",
    "https://user@github.com/",
    "https://user:password@github.com/",
    "https://github.com%40evil.test/",
    "https://evil.test\\@github.com/",
    # characters that browsers drop, or that end a host early
    "https://git\thub.com/",
    "ht\ntps://evil.test/",
    "/\t/evil.test",
    "/\n/evil.test",
    "/\r\n/evil.test",
    "\t//evil.test",
    " https://evil.test",
    " /api",
    "/api ",
    "\x00//evil.test",
    "https://evil.test\x00.github.com/",
    "https://github.com\x7f/",
    "/api\r\nSet-Cookie: a=b",
    "https://github.com\u3002evil.test/",
    "https://github.com/\u2028",
    # encoded forms
    "/%2fevil.test",
    "/%2Fevil.test",
    "%2f%2fevil.test",
    "/%5cevil.test",
    "/%5Cevil.test",
    "/%255cevil.test",
    "/%252fevil.test",
    "/%25252fevil.test",
    "/%25252525252525252fevil.test",
    "/%09/evil.test",
    "/%0a/evil.test",
    "/api%0d%0aSet-Cookie:a=b",
    "/api?x=%00",
    "https://github.com%2eevil.test/",
    "https://github.com%2f@evil.test/",
    "https://github%2ecom/",
    "/%zz",
    "/%",
    "/%u2215evil.test",
    # segments that become something else when they are resolved
    "/.//evil.test",
    "/./evil",
    "/..//evil.test",
    "/a/..//evil.test",
    "/%2e%2e//evil.test",
    "/%2e/evil",
    "/a//b",
    "/;//evil.test",
    # names that look alike
    "https://g\u0131thub.com/",
    "https://\u0261ithub.com/",
    "https://g\u0456thub.com/",
    "https://xn--gthub-n4a.com/",
    "https://github。com/",
    "https://\u212athub.com/",
    "https://github.com./",
    "https://github.com.:443/",
    "https://github..com/",
    "https://.github.com/",
    # ports
    "https://github.com:/",
    "https://github.com:0443/",
    "https://github.com:443443/",
    "https://github.com:65979/",
    "https://github.com:4 43/",
    "https://github.com:+443/",
    "https://github.com:٤٤٣/",
    # other schemes
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://github.com/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://github.com/",
    "blob:https://github.com/x",
    "ws://github.com/",
    # relative to the current page: never sent by this service
    "",
    "evil.test",
    "users/7",
    "./users",
    "../users",
    "?next=1",
    "#top",
    "@evil.test",
    ".evil.test",
    ":443",
]


@pytest.mark.parametrize("location", ALLOWED)
def test_lets_out(location: str) -> None:
    assert is_safe(location, SAFE)


@pytest.mark.parametrize("location", REFUSED)
def test_refuses(location: str) -> None:
    assert not is_safe(location, SAFE)


def test_an_empty_list_admits_only_own_paths() -> None:
    assert is_safe("/api", frozenset())
    assert not is_safe("https://github.com/", frozenset())


def where_a_browser_goes(location: str) -> tuple[str, str, int | None]:
    """Resolve as the URL standard of WHATWG does, in a model of its own, to scheme, host and port."""
    text = location.strip("".join(map(chr, range(33))))
    text = text.replace("\t", "").replace("\n", "").replace("\r", "")
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not (colon and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme)):
        scheme, rest = "https", text
        if rest[:1] not in ("/", "\\") or rest[1:2] not in ("/", "\\"):
            return ("https", "own.test", 443)
    elif scheme not in ("http", "https"):
        return (scheme, "", None)
    elif rest[:1] not in ("/", "\\") and scheme == "https":
        # A special scheme equal to the page's own, without slashes, is relative to the page.
        return ("https", "own.test", 443)
    authority = rest.lstrip("/\\")
    for end in "/\\?#":
        authority = authority.partition(end)[0]
    host, _, port = authority.rpartition("@")[2].partition(":")
    return (scheme, host.lower(), int(port) if port.isdecimal() else {"http": 80, "https": 443}[scheme])


# Pieces that attacks are put together from, so that random texts come near the line.
PIECES = st.sampled_from(
    [
        *[
            "https:",
            "HTTPS:",
            "http:",
            "javascript:",
            "/",
            "//",
            "\\",
            "github.com",
            "GitHub.com",
            "evil.test",
            "@",
            ":443",
            ":",
            ".",
            "..",
        ],
        *["%2f", "%5c", "%", "%0a", "?", "#", "a", "[::1]"],
        *("\t", "\n", "\r", "\x00", " ", "\u3002"),
    ]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=30)


@given(TEXTS)
def test_whatever_is_let_out_stays_on_a_safe_origin_in_a_browser(location: str) -> None:
    if is_safe(location, {Origin("https", "github.com", 443)}):
        assert where_a_browser_goes(location) in {("https", "own.test", 443), ("https", "github.com", 443)}


@given(TEXTS)
def test_whatever_is_let_out_stays_there_by_rfc_3986_too(location: str) -> None:
    if is_safe(location, {Origin("https", "github.com", 443)}):
        parts = urlsplit(location)
        assert (parts.scheme.lower(), parts.hostname) in {("", None), ("https", "github.com")}
        assert parts.username is None


@given(st.text(max_size=30))
def test_any_text_in_a_query_value_is_let_out_unless_it_has_control_characters(text: str) -> None:
    printable = all(character >= " " and character != "\x7f" for character in text)
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    nested = "%" in text
    if printable and not nested:
        assert is_safe("/search?q=" + quote(encodable, safe=""), SAFE)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://github.com", Origin("https", "github.com", 443)),
        ("http://github.com", Origin("http", "github.com", 80)),
        ("HTTP://GitHub.com:8080", Origin("http", "github.com", 8080)),
        ("https://[::1]:8443", Origin("https", "[::1]", 8443)),
    ],
)
def test_reads_an_origin(text: str, origin: Origin) -> None:
    assert Origin.parse(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("github.com", "https://github.com/", "https://a@b", "ftp://github.com", "", "https://"),
        *("https://\u212aernel.org", "https://github.com:0443", "https://github.com.", "https://a\n"),
    ],
)
def test_refuses_what_is_not_an_origin(text: str) -> None:
    with pytest.raises(ValueError, match="is not an origin; write it as https://host"):
        Origin.parse(text)
