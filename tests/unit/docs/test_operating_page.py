"""docs/operating.md: the figures and files that it names are those of the sources."""

import re
from pathlib import Path
from typing import Final

import pytest

from bartizan.certificates import RENEW_BEFORE, SERVER_LIFE
from bartizan.generations import KEEP
from bartizan.layout import State
from bartizan.policy.files import SOON
from bartizan.render.classes import CONNECTIONS_OF_AN_ADDRESS
from bartizan.render.configuration import CONNECTIONS
from bartizan.supervise import GRACE
from tests.docs.blocks import DOCS, ROOT

PAGE: Final = (DOCS / "operating.md").read_text(encoding="utf-8")
TEMPLATES: Final = "".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "openresty").glob("*.j2"))
)
WORDS: Final = {3: "three", 7: "seven"}


def said(text: str) -> bool:
    """Say whether the page has a text, however its lines are broken."""
    return " ".join(text.split()) in " ".join(PAGE.split())


def test_the_figures_of_the_command() -> None:
    assert said(f"{CONNECTIONS:,} a worker")
    assert said(f"is under {CONNECTIONS * 3 // 2:,}, two thirds of that limit")
    assert said(f"requests in flight have {GRACE:.0f} s")
    assert said(f"the newest {WORDS[KEEP]} are kept")
    assert said(
        f"good for {SERVER_LIFE.days} days and renewed at a start or reload when fewer than"
        f" {RENEW_BEFORE.days} are left"
    )
    assert said(f"`bartizan check` warns {WORDS[SOON.days]} days before it ends")


@pytest.mark.parametrize("store", ["limits", "metrics", "keys", "workers"])
def test_the_sizes_of_the_stores(store: str) -> None:
    (size,) = re.findall(rf"lua_shared_dict bartizan_{store} (\d+)m;", TEMPLATES)
    assert said(f"{size} MiB {store}")


@pytest.mark.parametrize(
    ("directive", "sentence"),
    [
        (r"worker_shutdown_timeout (\d+)s;", "for at most {} s: then WebSockets"),
        (r"client_header_timeout (\d+)s;", "a header in {} s"),
        (r"client_body_timeout (\d+)s;", "of a body something every {} s"),
        (r"keepalive_timeout (60)s;", "idle connections for {} s"),
        (r"http2_max_concurrent_streams (\d+);", "{} streams of an HTTP/2 connection"),
        (r"client_body_buffer_size (\d+)k;", "bodies over {} KiB go to disk"),
        (r"large_client_header_buffers 4 (\d+)k;", "a header of 4 × {} KiB"),  # noqa: RUF001
    ],
)
def test_what_is_fixed(directive: str, sentence: str) -> None:
    (figure,) = re.findall(directive, TEMPLATES)
    assert said(sentence.format(figure))


def test_the_requests_of_an_address() -> None:
    assert said(f"| {CONNECTIONS_OF_AN_ADDRESS:,} (of IPv6")


def test_the_files_are_where_the_page_says() -> None:
    state = State(Path("/state"))
    for path in (
        state.access_log,
        state.audit_log,
        state.ca_certificate,
        state.ca_key,
        state.server_certificate,
        state.server_key,
        state.current,
        state.pid_file,
    ):
        assert f"`{path.relative_to(state.state)}`" in PAGE
    for folder in (state.acme, state.generations):
        assert f"`{folder.relative_to(state.state)}/" in PAGE
