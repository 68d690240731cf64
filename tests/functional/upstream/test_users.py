"""Listing, searching, reading and adding users."""

from typing import Any

import pytest
from quart.testing import QuartClient

from tests.functional.upstream.conftest import bearer
from upstream.database import SAMPLE_USERS
from upstream.users.schemas import MAX_ID


async def add(client: QuartClient, **user: Any) -> dict[str, Any]:
    response = await client.post("/api/users", json=user, headers=bearer())
    assert response.status_code == 201, await response.get_data(as_text=True)
    added: dict[str, Any] = await response.get_json()
    return added


async def listed(client: QuartClient, **query: Any) -> dict[str, Any]:
    response = await client.get("/api/users", query_string=query, headers=bearer())
    assert response.status_code == 200, await response.get_data(as_text=True)
    page: dict[str, Any] = await response.get_json()
    return page


async def names(client: QuartClient, **query: Any) -> list[str]:
    return [user["name"] for user in (await listed(client, **query))["users"]]


async def test_begins_with_the_sample_users(client: QuartClient) -> None:
    page = await listed(client)
    assert [user["name"] for user in page["users"]] == [user.name for user in SAMPLE_USERS]
    assert page["next"] is None


async def test_a_user_that_is_added_can_be_read(client: QuartClient) -> None:
    user = {
        "name": "Mary Jackson",
        "email": "Mary@Example.org",
        "location": "Hampton",
        "website": "https://github.com/mary",
        "about": "Engineer.\nTeacher.",
    }
    response = await client.post("/api/users", json=user, headers=bearer())
    assert response.status_code == 201
    added = await response.get_json()
    assert added == {
        **user,
        "email": "mary@example.org",
        "id": added["id"],
        "created_at": added["created_at"],
    }
    assert response.headers["Location"] == f"/api/users/{added['id']}"
    read = await client.get(response.headers["Location"], headers=bearer())
    assert read.status_code == 200
    assert await read.get_json() == added
    assert added["created_at"].endswith("Z")


async def test_an_email_address_belongs_to_one_user(client: QuartClient) -> None:
    await add(client, name="One", email="one@example.org")
    response = await client.post(
        "/api/users", json={"name": "Two", "email": "ONE@example.org"}, headers=bearer()
    )
    assert response.status_code == 409
    assert (await response.get_json())["code"] == "email_taken"
    assert "Two" not in await names(client)


async def test_pages_link_to_each_other_and_end(client: QuartClient) -> None:
    for number in range(7):
        await add(client, name=f"User {number}", email=f"u{number}@example.org")
    seen: list[int] = []
    path: str | None = "/api/users?limit=4"
    sizes = []
    while path is not None:
        page = await (await client.get(path, headers=bearer())).get_json()
        sizes.append(len(page["users"]))
        seen += [user["id"] for user in page["users"]]
        path = page["next"]
    assert sizes == [4, 4, 2]
    assert seen == sorted(set(seen))


async def test_a_page_stays_right_while_users_are_added(client: QuartClient) -> None:
    first = await listed(client, limit=2)
    await add(client, name="Late", email="late@example.org")
    second = await (await client.get(first["next"], headers=bearer())).get_json()
    assert [user["name"] for user in second["users"]] == [SAMPLE_USERS[2].name, "Late"]


async def test_the_next_page_of_a_search_is_of_the_same_search(client: QuartClient) -> None:
    for number in range(3):
        await add(client, name=f"A&B {number}", email=f"u{number}@example.org")
    page = await listed(client, q="a&b", limit=2)
    rest = await (await client.get(page["next"], headers=bearer())).get_json()
    assert [user["name"] for user in page["users"] + rest["users"]] == ["A&B 0", "A&B 1", "A&B 2"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("lovelace", ["Ada Lovelace"]),
        ("LOVE", ["Ada Lovelace"]),
        ("grace@", ["Grace Hopper"]),
        ("new york", ["Grace Hopper"]),
        ("example.org", ["Ada Lovelace", "Grace Hopper", "Reginald Jeeves"]),
        ("nobody", []),
        ("%", []),
        ("_", []),
        ("/", []),
        ("\\", []),
        ("a%e", []),
        ("' OR '1'='1", []),
        ('" OR 1=1 --', []),
        ("'; DROP TABLE users; --", []),
        ("machine that was never built", []),
    ],
)
async def test_finds(client: QuartClient, q: str, found: list[str]) -> None:
    assert await names(client, q=q) == found


@pytest.mark.parametrize(
    ("name", "q"),
    [
        ("50% off", "0%"),
        ("snake_case", "e_c"),
        ("a/b", "/"),
        ("back\\slash", "\\"),
        ("Åsa Öberg", "åSA ö"),
        ("STRASSE", "straße"),
    ],
)
async def test_finds_wildcards_and_letters_of_any_script_as_themselves(
    client: QuartClient, name: str, q: str
) -> None:
    await add(client, name=name, email="x@example.org")
    assert await names(client, q=q) == [name]


async def test_text_that_looks_like_sql_is_kept_as_text(client: QuartClient) -> None:
    name = "Robert'); DROP TABLE users;--"
    added = await add(client, name=name, email="bobby@example.org", about="' || (SELECT 1) || '")
    read = await (await client.get(f"/api/users/{added['id']}", headers=bearer())).get_json()
    assert (read["name"], read["about"]) == (name, "' || (SELECT 1) || '")


@pytest.mark.parametrize(
    "user_id", ["0", "999", str(MAX_ID), str(MAX_ID + 1), "9" * 19, "9" * 20, "9" * 5000]
)
async def test_no_such_user(client: QuartClient, user_id: str) -> None:
    response = await client.get(f"/api/users/{user_id}", headers=bearer())
    assert response.status_code == 404


@pytest.mark.parametrize(
    "user_id",
    ["-1", "1.0", "1e0", "+1", "0x1", "x", "1%00", "1'", "1;", "\u0661", "\uff11", "1/", "1//card", ""],
)
async def test_what_is_no_id_is_not_found(client: QuartClient, user_id: str) -> None:
    response = await client.get(f"/api/users/{user_id}", headers=bearer())
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


async def test_a_user_without_website_leads_nowhere(client: QuartClient) -> None:
    response = await client.get("/api/users/3/website", headers=bearer())
    assert response.status_code == 404
    assert (await response.get_json())["code"] == "no_website"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{{ config }}",
        "&lt;b&gt;",
        "</title><script>",
    ],
)
async def test_the_card_shows_text_as_text(client: QuartClient, text: str) -> None:
    website = f"https://example.com/?{text}"
    added = await add(client, name=text, email="x@example.org", location=text, website=website, about=text)
    response = await client.get(f"/api/users/{added['id']}/card", headers=bearer())
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    page = await response.get_data(as_text=True)
    for markup in ("<script", "<img", "onerror=alert(1)>", "' onmouseover", "49"):
        assert markup not in page
    assert page.count("<title>") == page.count("</title>") == 1
    # The stored link is shown, not linked: the only way out is the one that is checked.
    assert page.count("href=") == 1
    assert f'href="/api/users/{added["id"]}/website"' in page
