"""Finding an nginx that can run the edge."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError
from bartizan.layout import Nginx

# An unprivileged user's PATH may lack sbin; the last one is OpenResty's bundle.
_ELSEWHERE: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/local/openresty/nginx/sbin")
# ngx_lua's own dynamic module, after the development kit that it is built on.
_MODULES: Final = ("ndk_http_module.so", "ngx_http_lua_module.so")
# It raises on HTTP/2 bodies that come without a length.
_REFUSED: Final = {
    "0.10.26": "it fails on HTTP/2 requests whose body has no Content-Length; use 0.10.25 or 0.10.27"
}
_INSTALL: Final = "on Debian: apt install nginx libnginx-mod-http-lua"
_PROBE: Final = """\
{modules}
daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log stderr;
events {{ }}
http {{
    access_log off;
    init_by_lua_block {{
        io.stdout:write("ngx_lua ", ngx.config.ngx_lua_version)
        io.stdout:flush()
        os.exit(0)
    }}
}}
"""


def find_nginx(named: Path | None = None) -> Nginx:
    """Find nginx and look at what it can do.

    Args:
        named: the binary that the operator named; None to look for one.

    Raises:
        BartizanError: there is none, it has no Lua, or a Lua module that is known to fail.
    """
    binary = _binary(named)
    about = _run([str(binary), "-V"])
    version = re.search(r"nginx version: \S+?/(\d+(?:\.\d+)+)", about.stderr)
    if about.returncode != 0 or version is None:
        raise BartizanError(f"{binary} is not an nginx: nginx -V does not tell its version")
    modules = _dynamic_modules(binary, about.stderr)
    lua_version = _lua_version(binary, modules)
    if lua_version in _REFUSED:
        raise BartizanError(f"{binary} has ngx_lua {lua_version}: {_REFUSED[lua_version]}")
    return Nginx(binary=binary, version=version[1], lua_version=lua_version, modules=modules)


def _binary(named: Path | None) -> Path:
    if named is not None:
        found = shutil.which(str(named)) if os.sep not in str(named) else str(named)
        if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise BartizanError(
                f"{named} is not a program that can be run; name nginx's binary with --nginx PATH"
            )
        return Path(found).absolute()
    found = shutil.which("nginx") or shutil.which("nginx", path=os.pathsep.join(_ELSEWHERE))
    if found is None:
        raise BartizanError(
            f"nginx is not installed ({_INSTALL}); if it lies elsewhere, name it with --nginx PATH"
        )
    return Path(found).absolute()


def _dynamic_modules(binary: Path, about: str) -> tuple[Path, ...]:
    """Return Lua's dynamic modules, or none where Lua is compiled in."""
    if re.search(r"--add-module=\S*ngx_lua", about):
        return ()
    path = re.search(r"--modules-path=(\S+)", about)
    prefix = re.search(r"--prefix=(\S+)", about)
    folder = Path(path[1]) if path else Path(prefix[1] if prefix else "/usr/local/nginx", "modules")
    modules = tuple(folder / name for name in _MODULES if (folder / name).exists())
    if folder / _MODULES[-1] not in modules:
        raise BartizanError(f"{binary} has no Lua: {folder / _MODULES[-1]} is missing ({_INSTALL})")
    return modules


def _lua_version(binary: Path, modules: tuple[Path, ...]) -> str:
    # No option prints it, and a module's file name or package may lie: the module itself is asked.
    with tempfile.TemporaryDirectory(prefix="bartizan-probe-") as folder:
        configuration = Path(folder, "nginx.conf")
        loads = "\n".join(f'load_module "{module}";' for module in modules)
        configuration.write_text(_PROBE.format(modules=loads, folder=folder), encoding="utf-8")
        probe = _run([str(binary), "-e", "stderr", "-p", folder, "-c", str(configuration)])
    match = re.search(r"ngx_lua (\d+)", probe.stdout)
    if match is None:
        reason = first_complaint(probe.stderr) or f"nginx exited with {probe.returncode}"
        raise BartizanError(f"{binary} can't run Lua: {reason} ({_INSTALL})")
    number = int(match[1])
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def first_complaint(text: str) -> str | None:
    """Return nginx's first serious complaint without its prefix and place, or None."""
    for line in text.splitlines():
        match = re.search(r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(?:\*\d+ )?(.*)", line)
        if match:
            return re.sub(r" in /\S+:\d+$", "", match[1])
    return None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except OSError as error:
        raise BartizanError(f"{command[0]} can't be run: {(error.strerror or str(error)).lower()}") from error
    except subprocess.TimeoutExpired as error:
        raise BartizanError(f"{command[0]} does not answer within a minute") from error
