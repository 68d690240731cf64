"""docker-compose.yml: one way in, and every container confined."""

import copy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from tests.support.dockerfile import ROOT, Dockerfile


def load(name: str) -> Any:
    return YAML(typ="safe").load(ROOT / name)


COMPOSE = load("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
POLICY = load("openresty/gateway.compose.yaml")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_the_edge_alone_has_published_ports_and_the_public_network() -> None:
    assert set(SERVICES) == {"edge", "tokendealer", "upstream"}
    assert SERVICES["edge"]["ports"] == ["8443:8443", "8080:8080"]
    assert set(SERVICES["edge"]["networks"]) == {"public", "inner"}
    for name in ("tokendealer", "upstream"):
        assert "ports" not in SERVICES[name]
        assert set(SERVICES[name]["networks"]) == {"inner"}
    assert COMPOSE["networks"]["inner"]["internal"] is True
    keys = {key for service in SERVICES.values() for key in service}
    assert not {"network_mode", "privileged", "cap_add", "pid", "ipc"} & keys


@each_service
def test_a_container_is_confined(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["pids_limit"] > 0
    assert "user" not in service  # the image's own, which is not root
    assert "environment" not in service  # where secrets like to end up


@each_service
def test_a_container_is_built_from_a_file_here_with_its_health(service: dict[str, Any]) -> None:
    image = Dockerfile(ROOT / service["build"]["context"] / service["build"]["dockerfile"])
    assert "CMD" in image.last("HEALTHCHECK")
    (name, place), *files = (entry.split(":", 1) for entry in service["volumes"])
    assert name in COMPOSE["volumes"]
    assert place == image.last("VOLUME") == image.last("WORKDIR")
    assert all((ROOT / source).is_file() and target.endswith(":ro") for source, target in files)


def test_secrets_are_files_that_git_and_images_never_see() -> None:
    assert set(SERVICES["edge"]["secrets"]) == set(COMPOSE["secrets"]) == {"tls_certificate", "tls_key"}
    for name, secret in COMPOSE["secrets"].items():
        assert list(secret) == ["file"], name
        assert Path(secret["file"]).parts[0] == "var"
    assert "/var/" in (ROOT / ".gitignore").read_text().splitlines()
    assert set(POLICY["tls"].values()) == {f"/run/secrets/{name}" for name in COMPOSE["secrets"]}


def test_inner_addresses_are_those_of_the_subnet_and_each_is_another() -> None:
    addresses = [service["networks"]["inner"]["ipv4_address"] for service in SERVICES.values()]
    assert len(set(addresses)) == len(addresses)
    [pool] = COMPOSE["networks"]["inner"]["ipam"]["config"]
    subnet = ip_network(pool["subnet"])
    assert all(ip_address(address) in subnet for address in addresses)
    assert str(subnet[1]) not in addresses  # the bridge's own


def test_the_policy_is_the_demos_but_for_where_things_are() -> None:
    demo = load("gateway.yaml")
    servers = {name: upstream["servers"] for name, upstream in POLICY["upstreams"].items()}
    jwks = POLICY["issuers"]["tokendealer"]["jwks"]
    for url in [*(url for urls in servers.values() for url in urls), jwks]:
        parts = urlsplit(url)
        image = Dockerfile(ROOT / SERVICES[parts.hostname]["build"]["dockerfile"])
        assert str(parts.port) == image.last("EXPOSE")
    moved = copy.deepcopy(POLICY)
    del moved["tls"], moved["listen"]["addresses"]
    moved["issuers"]["tokendealer"]["jwks"] = demo["issuers"]["tokendealer"]["jwks"]
    moved["upstreams"] = demo["upstreams"]
    assert moved == demo
    assert set(servers) == set(demo["upstreams"])


def test_the_ports_of_the_policy_are_those_that_are_published() -> None:
    listen = POLICY["listen"]
    assert [f"{port}:{port}" for port in (listen["https"], listen["http"])] == SERVICES["edge"]["ports"]
    edge = Dockerfile(ROOT / SERVICES["edge"]["build"]["dockerfile"])
    assert edge.last("EXPOSE") == f"{listen['https']} {listen['http']}"
