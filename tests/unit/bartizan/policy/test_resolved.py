"""Routes as they act: defaults merged in, guards in order, keys that stay."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bartizan.policy import Policy, ResolvedRoute, load_policy, resolve

TOKEN = {"issuer": "t", "audience": "data"}


def policy(folder: Path, *routes: dict[str, Any], defaults: dict[str, Any] | None = None) -> Policy:
    """Load a policy with these routes."""
    path = folder / "gateway.yaml"
    usual = {"prefix": "/", "methods": ["GET"], "upstream": "data", "auth": "none"}
    content = {
        "issuers": {"t": {"issuer": "me", "jwks": "http://127.0.0.1/jwks", "algorithms": ["ES256"]}},
        "upstreams": {"data": {"servers": ["http://127.0.0.1:1"]}},
        "routes": [
            {key: value for key, value in (usual | route).items() if value is not None} for route in routes
        ],
    }
    if defaults is not None:
        content["defaults"] = defaults
    path.write_text(json.dumps(content), encoding="utf-8")
    return load_policy(path)


def only(folder: Path, route: dict[str, Any], **options: Any) -> ResolvedRoute:
    """Resolve a policy of one route."""
    (resolved,) = resolve(policy(folder, route, **options))
    return resolved


def test_nothing_said_is_the_built_in_rate_and_cap(tmp_path: Path) -> None:
    route = only(tmp_path, {})
    (rate,) = route.guards
    assert (str(rate.settings.limit), rate.settings.burst, rate.settings.by) == ("200/s", 100, "address")  # type: ignore[union-attr]
    assert (rate.source, route.body, route.body_source) == ("built-in", 1 << 20, "built-in")


def test_a_route_takes_the_defaults_place_as_a_whole(tmp_path: Path) -> None:
    defaults = {"rate": {"limit": "50/s", "burst": 7}, "concurrency": {"limit": 3}, "body": "2MiB"}
    route = only(tmp_path, {"rate": {"limit": "10/s"}}, defaults=defaults)
    rate, concurrency = route.guards
    assert (rate.settings.burst, rate.source) == (5, "route")  # type: ignore[union-attr]
    assert concurrency.source == "defaults"
    assert (route.body, route.body_source) == (2 << 20, "defaults")


def test_off_takes_a_default_away(tmp_path: Path) -> None:
    defaults = {
        "concurrency": {"limit": 3},
        "addresses": {"deny": ["192.0.2.0/24"]},
        "cors": {"origins": ["*"]},
    }
    kept = only(tmp_path, {}, defaults=defaults)
    assert [guard.name for guard in kept.plan] == ["addresses", "rate", "concurrency"]
    assert kept.cors is not None
    bare = only(tmp_path, {"concurrency": "off", "addresses": "off", "cors": "off"}, defaults=defaults)
    assert [guard.name for guard in bare.plan] == ["rate"]
    assert bare.cors is None


def test_guards_that_are_off_are_in_no_plan(tmp_path: Path) -> None:
    route = only(tmp_path, {"concurrency": {"limit": 1, "mode": "off"}})
    assert [guard.name for guard in route.guards] == ["rate", "concurrency"]
    assert [guard.name for guard in route.plan] == ["rate"]


def test_guards_act_in_order_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    route = only(
        tmp_path,
        {
            "concurrency": [{"limit": 9, "by": "client"}, {"limit": 5}],
            "auth": TOKEN,
            "rate": [{"limit": "9/s", "by": "client"}, {"limit": "5/s"}, {"limit": "1/s", "by": "header:A"}],
            "addresses": {"allow": ["::/1"]},
        },
    )
    order = [(guard.name, getattr(guard.settings, "by", None)) for guard in route.plan]
    assert order == [
        ("addresses", None),
        ("rate", "address"),
        ("rate", "header:a"),
        ("concurrency", "address"),
        ("token", None),
        ("rate", "client"),
        ("concurrency", "client"),
    ]


def test_get_implies_head_and_a_prefix_loses_its_slash(tmp_path: Path) -> None:
    route = only(tmp_path, {"prefix": "/a/"})
    assert (route.match, route.path, route.methods, route.name) == (
        "prefix",
        "/a",
        ("GET", "HEAD"),
        "GET /a/*",
    )
    root = only(tmp_path, {"prefix": "/", "methods": ["POST", "GET"]})
    assert (root.path, root.methods, root.name) == ("/", ("POST", "GET", "HEAD"), "POST,GET /*")
    exact = only(tmp_path, {"prefix": None, "path": "/a/", "hosts": ["B.example"]})
    assert (exact.match, exact.path, exact.name) == ("exact", "/a/", "GET b.example/a/")


def test_cors_without_methods_has_the_routes(tmp_path: Path) -> None:
    route = only(tmp_path, {"methods": ["GET", "PUT"], "cors": {"origins": ["https://a.example"]}})
    assert route.cors is not None
    assert route.cors.methods == ("GET", "PUT")


def test_a_key_stays_while_hosts_path_and_methods_stay(tmp_path: Path) -> None:
    one = {"prefix": "/a", "methods": ["GET", "PUT"], "hosts": ["a.example", "b.example"]}
    other = {"prefix": None, "path": "/a", "methods": ["POST"]}
    before = {route.path: route.key for route in resolve(policy(tmp_path, one, {"prefix": "/b"}))}
    turned = one | {"methods": ["PUT", "GET"], "hosts": ["b.example", "a.example"], "rate": {"limit": "1/s"}}
    after = resolve(policy(tmp_path, other, turned))
    assert after[1].key == before["/a"]
    assert after[0].key not in before.values()
    assert all(len(route.key) == 8 and int(route.key, 16) >= 0 for route in after)


@given(st.lists(st.from_regex(r"\A/[a-z]{1,8}\Z"), min_size=2, max_size=30, unique=True))
def test_keys_differ(paths: list[str]) -> None:
    routes = [{"prefix": path, "methods": ("GET",), "upstream": "u", "auth": "none"} for path in paths]
    model = Policy.model_validate({"upstreams": {"u": {"servers": ("http://a",)}}, "routes": tuple(routes)})
    assert len({route.key for route in resolve(model)}) == len(paths)


def test_equal_guards_are_equal_and_hash_alike(tmp_path: Path) -> None:
    one, two = resolve(policy(tmp_path, {"auth": TOKEN}, {"prefix": "/b", "auth": TOKEN}))
    assert one.plan == two.plan
    assert len({one.plan, two.plan}) == 1
