"""A policy becomes nginx.conf and edge.json that say what it says."""

import json
import resource
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from bartizan.assets import find_assets
from bartizan.certificates import ensure_development_certificate
from bartizan.errors import BartizanError
from bartizan.layout import Layout, Nginx, State
from bartizan.policy import Policy
from bartizan.render import render
from bartizan.rules.settings import RuleSettings, RuleSource
from tests.support.nginx_syntax import Directive, read

MODULES: Final = (Path("/usr/lib/nginx/modules/ndk_http_module.so"), Path("/m/ngx_http_lua_module.so"))
BASE: Final[dict[str, Any]] = {
    "upstreams": {"data": {"servers": ("http://127.0.0.1:5200",)}},
    "routes": ({"prefix": "/api", "methods": ("GET",), "upstream": "data", "auth": "none"},),
}


class Rendering:
    """A rendered generation, read back."""

    def __init__(self, folder: Path, policy: dict[str, Any], **changes: Any) -> None:
        assets = find_assets()
        self.layout = replace(
            Layout(
                state=folder,
                work=folder / "work",
                lua=assets.lua,
                openresty=assets.openresty,
                nginx=Nginx(Path("/usr/sbin/nginx"), "1.22.1", "0.10.23", MODULES),
                worker_user=None,
                rules=folder / "rules",
            ),
            **changes,
        )
        ensure_development_certificate(State(folder), "localhost", datetime(2026, 11, 1, tzinfo=UTC))
        self.folder = folder / "generation-1"
        self.folder.mkdir(exist_ok=True)
        render(Policy.model_validate(BASE | policy), self.layout, self.folder)
        self.root = read((self.folder / "nginx.conf").read_text("utf-8"))
        self.edge = json.loads((self.folder / "edge.json").read_text("utf-8"))

    def servers(self) -> dict[str, Directive]:
        """Return the servers by what they listen on first; the operator's two share one."""
        return {server.values("listen")[0][0]: server for server in self.root.all("http", "server")}

    def public(self, port: int) -> Directive:
        return self.servers()[f"0.0.0.0:{port}"]

    def location(self, name: str, port: int = 8443) -> Directive:
        (found,) = [
            location
            for location in self.public(port).all("location")
            if location.words[1:] == ["=", f"/.bartizan/{name}"]
        ]
        return found


def rendered(folder: Path, policy: dict[str, Any] | None = None, **changes: Any) -> Rendering:
    return Rendering(folder, policy or {}, **changes)


def test_files_are_for_the_master_only(tmp_path: Path) -> None:
    found = rendered(tmp_path, {"defaults": {"addresses": {"deny": ("192.0.2.0/24",)}}})
    for path in found.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert {path.name for path in found.folder.iterdir()} == {
        "nginx.conf",
        "edge.json",
        "addresses-1.ranges",
    }


def test_the_process(tmp_path: Path) -> None:
    found = rendered(tmp_path, {"workers": 3}, worker_user="www-data")
    assert [directive.words[1] for directive in found.root.all("load_module")] == [str(m) for m in MODULES]
    assert found.root.values("user") == [["www-data"]]
    assert found.root.values("worker_processes") == [["3"]]
    assert found.root.values("pid") == [[str(found.layout.pid_file)]]
    # `bartizan run` starts it with -g "daemon off;", and nginx takes a directive once.
    assert found.root.values("daemon") == []


def test_an_unprivileged_gateway_names_no_user(tmp_path: Path) -> None:
    found = rendered(tmp_path, nginx=Nginx(Path("/n"), "1.22.1", "0.10.23", ()))
    assert found.root.values("user") == []
    assert found.root.values("load_module") == []
    assert found.root.values("worker_processes") == [["auto"]]


def test_a_location_that_answers_here_takes_any_body(tmp_path: Path) -> None:
    # Or a body over nginx's own cap would be refused in the place that answers refusals.
    for name in ("refused", "edge", "close"):
        assert rendered(tmp_path).location(name).values("client_max_body_size") == [["0"]]


def test_everything_under_bartizan_is_internal(tmp_path: Path) -> None:
    for server in rendered(tmp_path).root.all("http", "server"):
        for location in server.all("location"):
            if "/.bartizan/" in location.words[-1]:
                assert location.values("internal") == [[]]


def test_listeners(tmp_path: Path) -> None:
    found = rendered(tmp_path, {"listen": {"https": 443, "http": 80, "operator": "127.0.0.1:9001"}})
    assert found.public(443).values("listen") == [
        ["0.0.0.0:443", "ssl", "http2", "default_server", "reuseport"],
        ["[::]:443", "ssl", "http2", "ipv6only=on", "default_server", "reuseport"],
    ]
    assert found.public(80).values("listen") == [
        ["0.0.0.0:80", "default_server", "reuseport"],
        ["[::]:80", "ipv6only=on", "default_server", "reuseport"],
    ]
    assert found.servers().keys() == {
        "0.0.0.0:443",
        "0.0.0.0:80",
        "127.0.0.1:9001",
        f"unix:{found.layout.fetch_socket}",
    }
    assert found.edge["ports"] == {"https": 443, "http": 80}


def test_a_newer_nginx_has_a_directive_for_http2(tmp_path: Path) -> None:
    newer = Nginx(Path("/n"), "1.26.3", "0.10.28", ())
    server = rendered(tmp_path, nginx=newer).public(8443)
    assert server.values("http2") == [["on"]]
    assert server.values("listen")[0] == ["0.0.0.0:8443", "ssl", "default_server", "reuseport"]
    assert rendered(tmp_path, {"listen": {"https": 9443}}).public(9443).values("http2") == []


def test_listeners_that_are_off_are_not_there(tmp_path: Path) -> None:
    listen = {"https": "off", "http": {"port": 8080, "redirect": False}, "addresses": ("127.0.0.1",)}
    found = rendered(tmp_path, {"listen": listen})
    assert not any("ssl_certificate" in directive.words[0] for directive in found.root.walk())
    assert found.servers()["127.0.0.1:8080"].values("listen") == [
        ["127.0.0.1:8080", "default_server", "reuseport"]
    ]
    assert found.edge["certificate"] is None
    assert found.edge["http_redirect"] is False
    assert found.edge["origin"] == "http://localhost:8080"


def test_a_listener_that_redirects_forwards_nothing(tmp_path: Path) -> None:
    found = rendered(tmp_path)
    assert not any(directive.words[0].startswith("proxy_") for directive in found.public(8080).walk())
    assert found.edge["http_redirect"] is True


def test_certbots_challenges_are_on_http_only(tmp_path: Path) -> None:
    found = rendered(tmp_path, {"acme": str(tmp_path / "web root")})
    assert found.location("acme", 8080).values("root") == [[str(tmp_path / "web root")]]
    assert not any(
        "acme" in word for location in found.public(8443).all("location") for word in location.words
    )
    usual = rendered(tmp_path)
    assert usual.location("acme", 8080).values("root") == [[str(usual.layout.acme)]]


def test_trusted_proxies(tmp_path: Path) -> None:
    trusted = {"trusted_proxies": ("10.0.0.0/8", "2001:db8::/32")}
    listen = {"https": {"port": 8443, "proxy_protocol": True}, "http": 8080}
    found = rendered(tmp_path, {**trusted, "listen": listen, "origin": "https://api.example.com"})
    for port, header in ((8443, "proxy_protocol"), (8080, "X-Forwarded-For")):
        server = found.public(port)
        assert server.values("set_real_ip_from") == [["10.0.0.0/8"], ["2001:db8::/32"]]
        assert server.values("real_ip_header") == [[header]]
        assert server.values("real_ip_recursive") == [["on"]]
    assert "proxy_protocol" in found.public(8443).values("listen")[0]
    assert found.edge["trusts_proxies"] is True
    alone = rendered(tmp_path)
    assert alone.public(8443).values("real_ip_header") == []
    assert alone.edge["trusts_proxies"] is False


def test_upstreams(tmp_path: Path) -> None:
    data = {
        "servers": ("http://one.example", "http://two.example:81", "http://[::1]:82"),
        "connect_timeout": "500ms",
        "send_timeout": "3s",
        "read_timeout": "1m",
        "max_fails": 2,
        "fail_timeout": "2m",
        "keepalive": 7,
    }
    found = rendered(tmp_path, {"upstreams": {"data": data}})
    (upstream,) = found.root.all("http", "upstream")
    assert upstream.words == ["upstream", "bartizan_data"]
    assert upstream.values("server") == [
        [server, "max_fails=2", "fail_timeout=120s"]
        for server in ("one.example:80", "two.example:81", "[::1]:82")
    ]
    assert upstream.values("keepalive") == [["7"]]
    location = found.location("c1")
    assert location.values("proxy_connect_timeout") == [["500ms"]]
    assert location.values("proxy_send_timeout") == [["3000ms"]]
    assert location.values("proxy_read_timeout") == [["60000ms"]]
    assert location.values("proxy_pass") == [["http://bartizan_data$bartizan_target"]]
    assert not any("proxy_ssl" in directive.words[0] for directive in location.walk())


def https(**settings: Any) -> dict[str, Any]:
    return {"upstreams": {"data": {"servers": ("https://data.example",), **settings}}}


def test_https_upstreams_are_verified(tmp_path: Path) -> None:
    found = rendered(tmp_path, https(ca=str(tmp_path / "ca.pem")))
    (upstream,) = found.root.all("http", "upstream")
    assert upstream.values("server")[0][0] == "data.example:443"
    location = found.location("c1")
    assert location.values("proxy_pass") == [["https://bartizan_data$bartizan_target"]]
    assert location.values("proxy_ssl_verify") == [["on"]]
    assert location.values("proxy_ssl_trusted_certificate") == [[str(tmp_path / "ca.pem")]]
    assert location.values("proxy_ssl_server_name") == [["on"]]
    assert location.values("proxy_ssl_name") == [["data.example"]]
    usual = rendered(tmp_path, https()).location("c1")
    assert usual.values("proxy_ssl_trusted_certificate") == [["/etc/ssl/certs/ca-certificates.crt"]]


@pytest.mark.parametrize(
    "servers", [("https://a.example", "https://b.example"), ("https://10.0.0.1",), ("https://[2001:db8::1]",)]
)
def test_servers_whose_certificate_has_another_name(tmp_path: Path, servers: tuple[str, ...]) -> None:
    named = rendered(tmp_path, https(servers=servers, server_name="data.example")).location("c1")
    assert named.values("proxy_ssl_name") == [["data.example"]]


def route(path: str, **settings: Any) -> dict[str, Any]:
    return {"path": path, "methods": ("GET",), "upstream": "data", "auth": "none", **settings}


def test_routes_with_equal_needs_share_a_class(tmp_path: Path) -> None:
    cors = {"origins": ("https://app.example",)}
    routes = (
        route("/a"),
        route("/b"),
        route("/c", body="2MiB"),
        route("/d", cors=cors),
        route("/e", rate={"limit": "1/s", "excess": "delay"}),
        route("/f", rate={"limit": "1/s", "excess": "delay", "mode": "observe"}),
        route("/g", concurrency={"limit": 1, "wait": 1}),
        route("/h", upstream="other"),
        route("/i", concurrency={"limit": 1}),
    )
    upstreams = BASE["upstreams"] | {"other": {"servers": ("http://127.0.0.1:1",)}}
    found = rendered(tmp_path, {"routes": routes, "upstreams": upstreams})
    classes = {entry["path"]: entry["class"] for entry in found.edge["routes"]}
    assert classes == {
        "/a": "c1",
        "/b": "c1",
        "/c": "c2",
        "/d": "c3",
        "/e": "c4",
        "/f": "c1",
        "/g": "c5",
        "/h": "c6",
        "/i": "c7",
    }
    assert found.location("c1").values("client_max_body_size") == [[str(1 << 20)]]
    assert found.location("c2").values("client_max_body_size") == [[str(2 << 20)]]
    assert found.location("c6").values("proxy_pass") == [["http://bartizan_other$bartizan_target"]]
    # Where a guard counts the requests of an address nginx need not.
    for entry in found.edge["routes"]:
        counted = bool(found.location(entry["class"]).all("limit_conn"))
        assert counted == (entry["path"] not in {"/g", "/i"})
    # Only what may wait pays for the access phase, and what waits must have it.
    for entry in found.edge["routes"]:
        waits = bool(found.location(entry["class"]).all("access_by_lua_block"))
        assert entry["waits"] == waits == (entry["path"] in {"/e", "/g"})
    # The gateway speaks for the upstream to other origins, alone.
    assert ["Access-Control-Allow-Origin"] in found.location("c3").values("proxy_hide_header")
    assert found.location("c1").values("proxy_hide_header") == []


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RuleSource, RuleSettings, Path]]:
    """Let nothing be compiled; return what would have been."""
    asked: list[tuple[RuleSource, RuleSettings, Path]] = []

    def compile_rules(source: RuleSource, settings: RuleSettings, cache: Path, _: object) -> Path:
        asked.append((source, settings, cache))
        return cache / f"plan-{settings.paranoia}-{len(settings.exclusions)}"

    monkeypatch.setattr("bartizan.render.plans.compile_rules", compile_rules)
    return asked


def test_routes_with_equal_rule_settings_share_a_plan(
    tmp_path: Path, compiled: list[tuple[RuleSource, RuleSettings, Path]]
) -> None:
    exclusion = {"rule": 942100, "parameter": "args:q"}
    routes = (
        route("/a"),
        route("/b", waf={"mode": "observe", "window": "4KiB"}),
        route("/c", waf={"paranoia": 2, "thresholds": {"inbound": 9}}),
        route("/d", waf={"exclusions": (exclusion | {"reason": "code"},)}),
        route("/e", waf="off"),
        route("/f", waf={"mode": "off"}),
    )
    found = rendered(
        tmp_path, {"routes": routes, "defaults": {"waf": {}}, "rules": {"source": "/crs", "after": ("/own",)}}
    )
    steps = {
        entry["path"]: found.edge["plans"][entry["plan"]][1:]  # the rate is before it
        for entry in found.edge["routes"]
    }
    cache = str(found.layout.rules / "compiled")
    assert steps["/a"] == [
        {
            "guard": "waf",
            "mode": "enforce",
            "settings": {"plan": f"{cache}/plan-1-0", "window": 131072, "incomplete": "refuse"},
        }
    ]
    assert steps["/b"][0]["settings"] == {"plan": f"{cache}/plan-1-0", "window": 4096, "incomplete": "refuse"}
    assert steps["/c"][0]["settings"]["plan"] == f"{cache}/plan-2-0"
    assert steps["/d"][0]["settings"]["plan"] == f"{cache}/plan-1-1"
    assert steps["/e"] == steps["/f"] == []
    assert len(compiled) == 3
    assert {source.folder for source, _, _ in compiled} == {Path("/crs")}
    assert {source.after for source, _, _ in compiled} == {(Path("/own"),)}
    assert [(one.paranoia, one.inbound) for _, one, _ in compiled] == [(1, 5), (2, 9), (1, 5)]


def test_where_bodies_are_read_requests_without_one_go_on_as_ever(
    tmp_path: Path, compiled: list[tuple[RuleSource, RuleSettings, Path]]
) -> None:
    routes = (route("/a", waf={"window": "4KiB"}), route("/b"))
    found = rendered(tmp_path, {"routes": routes})
    assert len(compiled) == 1
    reading, plain = (entry["class"] for entry in found.edge["routes"])
    assert [entry["reads_body"] for entry in found.edge["routes"]] == [True, False]
    assert [entry["waits"] for entry in found.edge["routes"]] == [False, False]
    assert found.location(reading).values("client_body_buffer_size") == [["4096"]]
    assert found.location(reading).all("access_by_lua_block")
    # Only HTTP/1 goes there, and only what was asked already.
    assert not found.location(f"{reading}-http1").all("access_by_lua_block")
    assert not found.location(plain).all("access_by_lua_block")
    assert found.edge["front"] == reading


def test_a_location_with_headers_of_its_own_repeats_the_others(tmp_path: Path) -> None:
    # nginx inherits add_header and proxy_hide_header only where a location has none.
    found = rendered(tmp_path, {"routes": (route("/d", cors={"origins": ("*",)}),)})
    server = found.public(8443)
    assert found.location("close").values("add_header") == []
    for name in ("c1", "edge", "refused"):
        location = found.location(name)
        assert {words[0] for words in location.values("add_header")} > {
            words[0] for words in server.values("add_header")
        }
    hidden = {words[0] for words in found.location("c1").values("proxy_hide_header")}
    assert hidden > {words[0] for words in server.values("proxy_hide_header")}


def test_ten_thousand_routes_are_few_locations(tmp_path: Path) -> None:
    routes = tuple(route(f"/service/{number}") for number in range(10_000))
    found = rendered(tmp_path, {"routes": routes})
    assert len(found.edge["routes"]) == 10_000
    assert len(found.edge["plans"]) == 1
    assert len({entry["key"] for entry in found.edge["routes"]}) == 10_000
    assert sum(1 for _ in found.root.walk()) < 600


GUARDED: Final[dict[str, Any]] = {
    "issuers": {
        "own": {
            "issuer": "https://issuer.example/",
            "jwks": "https://issuer.example/jwks?v=1",
            "algorithms": ("ES256", "EdDSA"),
            "skew": "2s",
            "ca": "/etc/own ca.pem",
        }
    },
    "defaults": {"addresses": {"deny": ("192.0.2.0/24",)}, "concurrency": {"limit": 9, "wait": 2}},
    "routes": (
        {
            "prefix": "/api",
            "methods": ("GET", "POST"),
            "hosts": ("API.example.com",),
            "upstream": "data",
            "auth": {"issuer": "own", "audience": "data", "scopes": ("a:b", "c"), "mode": "observe"},
            "rate": (
                {"limit": "5/m", "burst": 3, "by": "client"},
                {"limit": "200/s", "by": "header:X-Api-Key", "excess": "delay"},
                {"limit": "1/h", "mode": "off"},
            ),
            "cors": {"origins": ("https://app.example",), "headers": ("X-A",), "max_age": "1m"},
        },
        route("/b"),
        route("/c"),
    ),
}


def test_settings(tmp_path: Path) -> None:
    edge = rendered(tmp_path, GUARDED).edge
    assert edge["format"] == 1
    assert edge["generation"] == "generation-1"
    assert edge["origin"] == "https://localhost:8443"
    first, second, third = edge["routes"]
    assert {name: first[name] for name in ("hosts", "match", "path", "methods", "upstream", "scheme")} == {
        "hosts": ["api.example.com"],
        "match": "prefix",
        "path": "/api",
        "methods": ["GET", "HEAD", "POST"],
        "upstream": "data",
        "scheme": "http",
    }
    assert first["cors"] == {
        "origins": ["https://app.example"],
        "methods": ["GET", "POST"],
        "headers": ["x-a"],
        "expose": [],
        "credentials": False,
        "max_age": 60,
    }
    assert second["cors"] is None
    assert first["plan"] != second["plan"] == third["plan"]
    plan = edge["plans"][first["plan"]]
    assert [(step["guard"], step["mode"]) for step in plan] == [
        ("addresses", "enforce"),
        ("rate", "enforce"),
        ("concurrency", "enforce"),
        ("token", "observe"),
        ("rate", "enforce"),
    ]
    deny = str(tmp_path / "generation-1" / "addresses-1.ranges")
    assert [step["settings"] for step in plan] == [
        {"allow": None, "deny": deny},
        {"limit": 200, "period": 1, "burst": 100, "by": "header:x-api-key", "excess": "delay"},
        {"limit": 9, "by": "address", "wait": 2, "wait_time": 1.0},
        {"issuer": "own", "audience": "data", "scopes": ["a:b", "c"]},
        {"limit": 5, "period": 60, "burst": 3, "by": "client", "excess": "refuse"},
    ]
    # Equal lists are compiled once.
    assert edge["plans"][second["plan"]][0]["settings"]["deny"] == deny


def test_issuers(tmp_path: Path) -> None:
    found = rendered(tmp_path, GUARDED)
    issuer = found.edge["issuers"]["own"]
    assert issuer["issuer"] == "https://issuer.example/"
    assert issuer["algorithms"] == ["ES256", "EdDSA"]
    assert issuer["types"] == ["at+jwt"]
    assert issuer["skew"] == 2.0
    assert issuer["fetch_path"] == "/issuer/own"
    assert issuer["remember_file"] == str(found.layout.keys / "own.json")
    fetch = found.servers()[f"unix:{found.layout.fetch_socket}"]
    (location,) = [each for each in fetch.all("location") if each.words[1:] == ["=", "/issuer/own"]]
    assert location.values("proxy_pass") == [["https://issuer.example/jwks?v=1"]]
    assert location.values("proxy_method") == [["GET"]]
    assert location.values("proxy_ssl_verify") == [["on"]]
    assert location.values("proxy_ssl_name") == [["issuer.example"]]
    assert location.values("proxy_ssl_trusted_certificate") == [["/etc/own ca.pem"]]
    assert fetch.all("log_by_lua_block") == []


def test_an_address_list_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(BartizanError, match=r"nobody\.txt: the address list cannot be read"):
        rendered(tmp_path, {"defaults": {"addresses": {"deny_files": (str(tmp_path / "nobody.txt"),)}}})


def test_when_the_certificate_ends(tmp_path: Path) -> None:
    # 90 days after the first of November.
    assert rendered(tmp_path).edge["certificate"] == {
        "not_after": int(datetime(2027, 1, 30, tzinfo=UTC).timestamp()),
        "subject": "CN=Bartizan development",
    }


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "can't be read: no such file"), ("no PEM", "not a certificate in PEM")]
)
def test_a_certificate_that_is_none(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(BartizanError) as error:
        rendered(tmp_path, {"tls": {"certificate": str(path), "key": str(tmp_path / "own.key")}})
    assert str(error.value).startswith(f"{path}: ")
    assert complaint in str(error.value)


INJECTIONS: Final = [
    'x"; load_module evil; #',
    "x; load_module evil;",
    "x } load_module evil; {",
    "x\\",
    "x' ; load_module evil; '",
    "x # y",
]


def shape(directive: Directive) -> list[Any]:
    return [[inner.words[0], len(inner.words), shape(inner)] for inner in directive.block]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_path_of_a_policy_adds_a_directive(tmp_path: Path, text: str) -> None:
    def with_files(name: str) -> dict[str, Any]:
        issuer = GUARDED["issuers"]["own"] | {"ca": f"/ca/{name}"}
        return GUARDED | https(ca=f"/ca/{name}") | {"issuers": {"own": issuer}, "acme": f"/acme/{name}"}

    honest = rendered(tmp_path, with_files("honest"))
    attacked = rendered(tmp_path, with_files(text))
    assert shape(attacked.root) == shape(honest.root)
    assert attacked.location("acme", 8080).values("root") == [[f"/acme/{text}"]]
    assert attacked.location("c1").values("proxy_ssl_trusted_certificate") == [[f"/ca/{text}"]]


@pytest.mark.parametrize("text", [*INJECTIONS, "x$y", "x\ny"])
def test_what_slipped_through_the_models_is_still_no_directive(tmp_path: Path, text: str) -> None:
    """Values that the policy's models refuse, put behind their back."""
    policy = Policy.model_validate(BASE)
    upstream = policy.upstreams["data"]
    honest = rendered(tmp_path)
    bad = [
        policy.model_copy(update={"trusted_proxies": (text,)}),
        policy.model_copy(update={"upstreams": {"data": upstream, text: upstream}}),
        policy.model_copy(
            update={"upstreams": {"data": upstream.model_copy(update={"servers": (f"http://{text}",)})}}
        ),
        policy.model_copy(update={"workers": text}),
    ]
    for each in bad:
        try:
            render(each, honest.layout, honest.folder)
        except BartizanError:
            continue
        written = read((honest.folder / "nginx.conf").read_text("utf-8"))
        assert all(
            directive.words[0] != "load_module" or "evil" not in directive.words
            for directive in written.walk()
        )
        assert shape(written) == shape(honest.root)


def test_a_state_folder_with_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "var lib" / "it's"
    folder.mkdir(parents=True)
    found = rendered(folder)
    assert [words[0] for words in found.root.values("http", "access_log")] == [
        str(folder / "log" / "access.jsonl"),
        str(folder / "log" / "access.jsonl"),
        str(folder / "log" / "audit.jsonl"),
    ]


@pytest.mark.parametrize(
    ("limit", "files", "connections"),
    [(resource.RLIM_INFINITY, 65536, 16384), (1_048_576, 65536, 16384), (20_000, 20_000, 13_333)],
)
def test_connections_leave_room_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, files: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, limit))
    root = rendered(tmp_path).root
    assert root.values("worker_rlimit_nofile") == [[str(files)]]
    assert root.values("events", "worker_connections") == [[str(connections)]]
