"""The security headers of every kind of response."""

import pytest
from quart.testing import QuartClient

from tests.functional.upstream.conftest import bearer

RESPONSES = [
    ("/api/users", 200),
    ("/api/users/1/card", 200),
    ("/api/users/1/website", 302),
    ("/api/users/2/website", 403),
    ("/api/users/999", 404),
    ("/nowhere", 404),
    ("/api/users?limit=0", 400),
    ("/healthz", 200),
    ("/openapi.json", 200),
]


@pytest.mark.parametrize(("path", "status"), RESPONSES)
async def test_are_there(client: QuartClient, path: str, status: int) -> None:
    response = await client.get(path, headers=bearer())
    assert response.status_code == status
    policy = response.headers.getlist("Content-Security-Policy")
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "frame-ancestors 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert response.headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    assert "Server" not in response.headers


async def test_the_page_needs_nothing_that_its_policy_forbids(client: QuartClient) -> None:
    page = await (await client.get("/api/users/1/card", headers=bearer())).get_data(as_text=True)
    for forbidden in ("<script", "<style", "style=", "<img", "<form", "<base", "<link", "onclick"):
        assert forbidden not in page
