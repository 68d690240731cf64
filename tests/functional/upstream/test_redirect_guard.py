"""No response leaves with a Location that is not on the list, whatever the status and whoever made it."""

from pathlib import Path

import pytest
from quart import Quart, Response
from structlog.testing import capture_logs

from tests.functional.upstream.conftest import bearer, client_of
from upstream.app import create_app
from upstream.settings import Settings

UNSAFE = [
    "https://evil.test/",
    "//evil.test",
    "/\\evil.test",
    "https:evil.test",
    "https://github.com@evil.test/",
    "javascript:x",
]
SAFE = ["https://github.com/", "/api/users"]
STATUSES = [300, 301, 302, 303, 304, 305, 307, 308, 399]


@pytest.fixture
def bare(tmp_path: Path) -> Quart:
    """An application without a database, whose routes can be added to."""
    return create_app(Settings(state=tmp_path))


def answering(app: Quart, response: Response) -> None:
    """Add a view with this answer."""

    async def view() -> Response:
        return response

    app.add_url_rule("/leave", "leave", view)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("location", UNSAFE)
async def test_refuses(bare: Quart, status: int, location: str) -> None:
    answering(bare, Response("", status, {"Location": location, "Set-Cookie": "session=1"}))
    with capture_logs() as events:
        response = await client_of(bare).get("/leave")
    assert response.status_code == 403
    assert "Location" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert (await response.get_json())["code"] == "unsafe_redirect"
    assert [event["locations"] for event in events if event["event"] == "unsafe_redirect"] == [[location]]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("location", SAFE)
async def test_lets_out(bare: Quart, status: int, location: str) -> None:
    answering(bare, Response("", status, {"Location": location}))
    response = await client_of(bare).get("/leave")
    assert (response.status_code, response.headers["Location"]) == (status, location)


async def test_two_locations_are_refused_though_both_are_safe(bare: Quart) -> None:
    response = Response("", 302)
    response.headers.add("Location", SAFE[0])
    response.headers.add("Location", SAFE[1])
    answering(bare, response)
    assert (await client_of(bare).get("/leave")).status_code == 403


async def test_not_modified_needs_no_location(bare: Quart) -> None:
    answering(bare, Response("", 304))
    assert (await client_of(bare).get("/leave")).status_code == 304


async def test_created_is_no_redirect(bare: Quart) -> None:
    answering(bare, Response("", 201, {"Location": "https://elsewhere.test/1"}))
    assert (await client_of(bare).get("/leave")).status_code == 201


async def test_redirects_of_the_framework_itself_are_checked(bare: Quart) -> None:
    """A rule that ends in a slash makes werkzeug redirect to a URL built from the Host header."""

    async def view() -> str:
        return ""

    bare.add_url_rule("/folder/", "folder", view)
    response = await client_of(bare).get("/folder", headers={"Host": "evil.test"})
    assert response.status_code == 403


@pytest.mark.parametrize(("user_id", "status"), [(1, 302), (2, 403)])
async def test_a_users_website_is_only_led_to_if_it_is_safe(app: Quart, user_id: int, status: int) -> None:
    response = await client_of(app).get(f"/api/users/{user_id}/website", headers=bearer())
    assert response.status_code == status
    assert response.headers.get("Location") == ("https://github.com/" if status == 302 else None)
