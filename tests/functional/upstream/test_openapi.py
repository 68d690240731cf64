"""The published OpenAPI document says what the service does."""

from typing import Any

import pytest
from quart.testing import QuartClient

from tests.support.issuer import ISSUER


@pytest.fixture
async def document(client: QuartClient) -> dict[str, Any]:
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    published: dict[str, Any] = await response.get_json()
    return published


async def test_names_each_operation_with_its_statuses_and_scope(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    operations = {
        (method.upper(), path): (set(operation["responses"]), operation["security"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    read, write = [{"oauth2": ["users:read"]}], [{"oauth2": ["users:write"]}]
    assert operations == {
        ("GET", "/api/users"): ({"200", "400", "401", "403", "503"}, read),
        ("POST", "/api/users"): ({"201", "400", "401", "403", "409", "413", "415", "422", "503"}, write),
        ("GET", "/api/users/{user_id}"): ({"200", "401", "403", "404", "503"}, read),
    }


async def test_errors_are_problems_and_results_are_not(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                media = "application/json" if status < "400" else "application/problem+json"
                assert list(response["content"]) == [media]


async def test_the_bounds_of_the_input_are_in_it(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/users"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["required"]) == {"name", "email"}
    assert body["additionalProperties"] is False
    assert body["properties"]["name"]["maxLength"] == 100
    parameters = {entry["name"]: entry for entry in document["paths"]["/api/users"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 100
    assert set(parameters) == {"q", "limit", "after"}


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.append(value["$ref"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    assert found
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


async def test_tells_where_tokens_are_had(document: dict[str, Any]) -> None:
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == f"{ISSUER}/oauth/token"
    assert set(flow["scopes"]) == {"users:read", "users:write"}
