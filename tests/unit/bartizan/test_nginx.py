"""Finding an nginx that is fit, and saying why one is not."""

import re
from pathlib import Path

import pytest

from bartizan.errors import BartizanError
from bartizan.nginx import find_nginx, first_complaint


def fake(folder: Path, about: str, lua: str = "") -> Path:
    """Make a program that answers -V as an nginx would, and the probe with what Lua would say."""
    binary = folder / "nginx"
    binary.write_text(
        f"#!/bin/sh\n[ \"$1\" = -V ] && {{ echo '{about}' >&2; exit 0; }}\n{lua}\n", encoding="utf-8"
    )
    binary.chmod(0o755)
    return binary


def with_module(folder: Path) -> str:
    """Return what -V says where Lua is a dynamic module, and put an empty module there."""
    (folder / "ngx_http_lua_module.so").touch()
    return f"nginx version: nginx/1.30.0 configure arguments: --prefix=/x --modules-path={folder}"


def test_the_nginx_of_this_machine_is_fit() -> None:
    found = find_nginx()
    assert re.fullmatch(r"\d+\.\d+\.\d+", found.version)
    assert re.fullmatch(r"0\.\d+\.\d+", found.lua_version)
    assert all(module.is_file() for module in found.modules)
    assert find_nginx(found.binary) == found


def test_a_module_is_loaded_where_there_is_one(tmp_path: Path) -> None:
    binary = fake(tmp_path, with_module(tmp_path), "printf 'ngx_lua 10025'")
    found = find_nginx(binary)
    assert (found.version, found.lua_version) == ("1.30.0", "0.10.25")
    assert found.modules == (tmp_path / "ngx_http_lua_module.so",)


def test_openresty_has_lua_compiled_in(tmp_path: Path) -> None:
    about = "nginx version: openresty/1.27.1.2 configure arguments: --add-module=../ngx_lua-0.10.28"
    found = find_nginx(fake(tmp_path, about, "printf 'ngx_lua 10028'"))
    assert (found.version, found.lua_version, found.modules) == ("1.27.1.2", "0.10.28", ())


@pytest.mark.parametrize(
    ("about", "lua", "message"),
    [
        ("", "", "is not an nginx: nginx -V does not tell its version"),
        (
            "nginx version: nginx/1.22.1 --modules-path=/nowhere",
            "",
            "has no Lua: /nowhere/ngx_http_lua_module.so is missing (on Debian: apt install",
        ),
        ("module", "printf 'ngx_lua 10026'", "has ngx_lua 0.10.26: it fails on HTTP/2 requests whose"),
        (
            "module",
            "echo 'nginx: [emerg] dlopen() failed in /a/b.conf:1' >&2; exit 1",
            "can't run Lua: dlopen() failed (on Debian: apt install",
        ),
        ("module", "exit 3", "can't run Lua: nginx exited with 3 ("),
    ],
)
def test_an_unfit_one_is_refused(tmp_path: Path, about: str, lua: str, message: str) -> None:
    binary = fake(tmp_path, with_module(tmp_path) if about == "module" else about, lua)
    with pytest.raises(BartizanError, match=re.escape(f"{binary} {message}")):
        find_nginx(binary)


@pytest.mark.parametrize("named", ["/nowhere/nginx", "no-such-program", "/etc", "/etc/passwd"])
def test_what_is_no_program_is_refused(named: str) -> None:
    with pytest.raises(BartizanError, match=f"{named} is not a program that can be run; name nginx's binary"):
        find_nginx(Path(named))


def test_no_nginx_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("bartizan.nginx._ELSEWHERE", ())
    with pytest.raises(BartizanError, match=r"nginx is not installed \(on Debian: apt install nginx"):
        find_nginx()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nginx: [warn] a\nnginx: [emerg] no port in /x/nginx.conf:3\n", "no port"),
        ("2026/11/24 03:00:00 [error] 12#12: *3 broken", "broken"),
        ("nginx: the configuration file is ok", None),
    ],
)
def test_the_first_complaint_is_told_without_its_place(text: str, complaint: str | None) -> None:
    assert first_complaint(text) == complaint
