"""Renderings of a policy: each in a fresh folder, judged before a link makes it the one that serves."""

import fcntl
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError
from bartizan.layout import Layout
from bartizan.nginx import first_complaint
from bartizan.policy import Policy
from bartizan.render import render

KEEP: Final = 3
# `nginx -t` reads the configuration but does not run init_by_lua, where the edge judges what it was given.
_REHEARSAL: Final = """\
{modules}
daemon off;
master_process off;
pid "{folder}/rehearsal.pid";
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    {settings}
    init_by_lua_block {{
        require("bartizan.edge").init([==[{folder}/edge.json]==])
        io.stdout:write("ready")
        io.stdout:flush()
        os.exit(0)
    }}
}}
"""


@contextmanager
def rendering_lock(layout: Layout) -> Iterator[None]:
    """Keep two commands from putting generations in place at the same time."""
    layout.edge.mkdir(parents=True, exist_ok=True)
    with (layout.edge / "rendering.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def new_generation(policy: Policy, layout: Layout) -> Path:
    """Render a policy into a fresh folder, and have nginx and the edge judge it.

    Returns:
        The folder. It serves nothing until `activate` is called.

    Raises:
        BartizanError: it was refused; nothing is left of it.
    """
    layout.generations.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    folder = layout.generations / f"{stamp}-{secrets.token_hex(3)}"
    folder.mkdir()
    try:
        render(policy, layout, folder)
        judge(layout, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def judge(layout: Layout, folder: Path) -> None:
    """Have nginx read a rendered configuration, and the edge load its own part.

    Raises:
        BartizanError: one of them refuses it.
    """
    test = _run(layout, folder, "-t", "-c", str(folder / "nginx.conf"))
    if test.returncode != 0:
        raise BartizanError(_refusal(test.stderr))
    configuration = (folder / "nginx.conf").read_text(encoding="utf-8")
    settings = re.findall(
        r"^\s*(lua_(?:shared_dict|package_path|package_cpath) .*;)$", configuration, re.MULTILINE
    )
    rehearsal = folder / "rehearsal.conf"
    rehearsal.write_text(
        _REHEARSAL.format(
            modules="\n".join(f'load_module "{module}";' for module in layout.nginx.modules),
            folder=folder,
            settings="\n    ".join(settings),
        ),
        encoding="utf-8",
    )
    run = _run(layout, folder, "-c", str(rehearsal))
    if run.stdout != "ready":
        reason = first_complaint(run.stderr) or run.stderr.strip() or f"nginx exited with {run.returncode}"
        raise BartizanError(f"the edge refuses the rendered policy: {reason}")
    rehearsal.unlink()


def current_generation(layout: Layout) -> Path | None:
    """Return the folder of the generation that serves, or None."""
    try:
        return layout.generations / layout.current.readlink().name
    except OSError:
        return None


def activate(layout: Layout, folder: Path) -> None:
    """Make a generation the one that nginx reads when it is started or told to reload."""
    link = layout.edge / f".current-{secrets.token_hex(3)}"
    link.symlink_to(Path("generations", folder.name))
    link.replace(layout.current)


def prune(layout: Layout) -> None:
    """Remove old generations; the newest and the one that serves stay."""
    current = current_generation(layout)
    folders = sorted(
        (path for path in layout.generations.iterdir() if path.is_dir()), key=lambda path: path.name
    )
    others = [folder for folder in folders if folder != current]
    for folder in others[: max(0, len(others) - (KEEP - 1))]:
        shutil.rmtree(folder, ignore_errors=True)


def _run(layout: Layout, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(layout.nginx.binary), "-e", "stderr", "-p", str(folder), *arguments]
    try:
        return subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=120, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired as error:
        raise BartizanError(
            "nginx did not come to a judgement on the configuration in two minutes"
        ) from error


def _refusal(stderr: str) -> str:
    reason = first_complaint(stderr) or stderr.strip() or "it does not say why"
    denied = re.search(r"bind\(\) to (\S+) failed \(13: Permission denied\)", reason)
    if denied:
        return f"this user may not listen on {denied[1]}; run as root, or with CAP_NET_BIND_SERVICE"
    return f"nginx refuses the rendered configuration: {reason}"
