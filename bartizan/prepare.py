"""The folders that a gateway needs, with the rights that each may have."""

import grp
import os
import pwd
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bartizan.assets import find_assets
from bartizan.certificates import ensure_development_certificate
from bartizan.errors import BartizanError
from bartizan.layout import Layout, State, work_folder
from bartizan.nginx import find_nginx
from bartizan.policy import Policy

WORKER_USER: Final = "www-data"
# The kernel's sun_path holds 108 bytes, the closing zero included; the longest name there is fetch.sock.
_LONGEST_SOCKET: Final = 107


def find_state(named: Path) -> State:
    """Return the state folder.

    Args:
        named: as the operator named it.

    Raises:
        BartizanError: its name can't stand in nginx.conf.
    """
    folder = Path(os.path.normpath(named.absolute()))
    if not re.fullmatch(r"[\w /.,:+@=~-]+", str(folder), re.ASCII):
        raise BartizanError(
            f"the state folder {folder} has characters that nginx can't take; use letters, digits and / . - _"
        )
    return State(folder)


def find_layout(
    state: Path, nginx: Path | None, work: Path | None = None, rules: Path | None = None
) -> Layout:
    """Decide where everything lies.

    Args:
        state: the state folder, as the operator named it.
        nginx: the nginx binary that the operator named, or None to look for one.
        work: the workers' folder, where nothing will be served; None for the one that goes with the state.
        rules: the folder of the rules; None for the one in the state folder.

    Raises:
        BartizanError: nginx is missing or unfit, or the folder can't be used.
    """
    assets = find_assets()
    found = find_nginx(nginx)
    folder = find_state(state).state
    layout = Layout(
        state=folder,
        work=work or work_folder(folder),
        lua=assets.lua,
        openresty=assets.openresty,
        nginx=found,
        worker_user=_worker_user(),
        rules=rules or folder / "rules",
    )
    if len(os.fsencode(layout.fetch_socket)) > _LONGEST_SOCKET:
        raise BartizanError(
            f"the state folder {folder} is too deep: the socket in it would have a name of"
            f" more than {_LONGEST_SOCKET} bytes; choose a shorter one"
        )
    return layout


def prepare_folders(layout: Layout) -> None:
    """Make what is missing.

    Raises:
        BartizanError: this user may not.
    """
    try:
        for folder in (layout.state, layout.tls, layout.acme, layout.edge, layout.generations):
            folder.mkdir(parents=True, exist_ok=True)
        # Logs name clients: for the operator and the workers, which reopen them after a rotation.
        layout.log.mkdir(mode=0o750, exist_ok=True)
        if layout.worker_user is not None:
            os.chown(layout.log, -1, grp.getgrgid(pwd.getpwnam(layout.worker_user).pw_gid).gr_gid)
        for folder in (layout.work, layout.keys):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if layout.worker_user is not None:
                worker = pwd.getpwnam(layout.worker_user)
                os.chown(folder, worker.pw_uid, worker.pw_gid)
    except OSError as error:
        where, why = error.filename or layout.state, (error.strerror or str(error)).lower()
        raise BartizanError(f"{where} can't be made or used: {why}; name another with --state DIR") from error


def closed_to_workers(layout: Layout) -> Path | None:
    """Return the folder on the way to the logs that workers can't enter, or None.

    The master opens the logs, so they are written all the same; but after a rotation workers open them anew.
    """
    if layout.worker_user is None:
        return None
    worker = pwd.getpwnam(layout.worker_user)
    for folder in (*reversed(layout.log.parents), layout.log):
        about = folder.stat()
        enter = stat.S_IXOTH
        if about.st_uid == worker.pw_uid:
            enter = stat.S_IXUSR
        elif about.st_gid == worker.pw_gid:
            enter = stat.S_IXGRP
        if not about.st_mode & enter:
            return folder
    return None


def remove_stale_sockets(layout: Layout) -> None:
    """Remove what a gateway that was killed left behind: nginx does not listen on a socket that exists.

    Only whoever holds the run lock may call this.
    """
    for socket in layout.work.glob("*.sock"):
        with suppress(FileNotFoundError):
            socket.unlink()


def prepare_certificate(policy: Policy, layout: Layout) -> bool:
    """Make or renew the development certificate if the policy names no other; return whether one was made."""
    if policy.tls is not None or policy.listen.https is None:
        return False
    return ensure_development_certificate(layout, urlsplit(policy.public_origin).hostname or "localhost")


def _worker_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(WORKER_USER).pw_name
    except KeyError:
        raise BartizanError(
            f"there is no user {WORKER_USER} for nginx's workers; make one: useradd --system {WORKER_USER}"
        ) from None
