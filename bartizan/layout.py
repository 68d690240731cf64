"""Where everything lies on disk, and which nginx runs: what rendering, starting and reloading agree on."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

SYSTEM_WORK = Path("/var/lib/bartizan")


@dataclass(frozen=True, slots=True)
class Nginx:
    """An nginx that was found fit to run the edge.

    Attributes:
        binary: the absolute path of the nginx binary.
        version: nginx's version, such as `1.22.1`.
        lua_version: ngx_lua's version, such as `0.10.23`.
        modules: dynamic modules to load, in this order; empty where Lua is compiled in (OpenResty's bundle).
    """

    binary: Path
    version: str
    lua_version: str
    modules: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The operator's folder and what lies in it.

    Attributes:
        state: the folder (`--state`), absolute.
    """

    state: Path

    @property
    def log(self) -> Path:
        """The folder of the logs."""
        return self.state / "log"

    @property
    def access_log(self) -> Path:
        """One line a request."""
        return self.log / "access.jsonl"

    @property
    def audit_log(self) -> Path:
        """One line a decision."""
        return self.log / "audit.jsonl"

    @property
    def tls(self) -> Path:
        """The folder of the development certificates."""
        return self.state / "tls"

    @property
    def ca_certificate(self) -> Path:
        """The development authority, which clients on this machine may trust."""
        return self.tls / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The development authority's key."""
        return self.tls / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """The development certificate."""
        return self.tls / "server.pem"

    @property
    def server_key(self) -> Path:
        """The development certificate's key."""
        return self.tls / "server.key"

    @property
    def acme(self) -> Path:
        """Certbot's webroot, unless the policy names another."""
        return self.state / "acme"

    @property
    def edge(self) -> Path:
        """What was rendered."""
        return self.state / "edge"

    @property
    def generations(self) -> Path:
        """One folder for each rendering that is kept."""
        return self.edge / "generations"

    @property
    def current(self) -> Path:
        """The one stable link, to the generation that serves."""
        return self.edge / "current"

    @property
    def configuration(self) -> Path:
        """What nginx is started with: through the link, so that a reload reads the new generation."""
        return self.current / "nginx.conf"

    @property
    def pid_file(self) -> Path:
        """The process id of nginx's master."""
        return self.edge / "nginx.pid"


@dataclass(frozen=True, slots=True)
class Layout(State):
    """Every path of a gateway, and the nginx that runs it.

    Attributes:
        work: what unprivileged workers may write to: sockets, temporary files, remembered key sets.
        lua: the folder that holds `bartizan/*.lua` (goes into Lua's package path).
        openresty: the folder of the configuration template and its snippets.
        nginx: the nginx to run.
        worker_user: whom workers run as; None where nginx is not started by root, and so stays what it is.
        rules: where rules lie that were installed, and all that were compiled.
    """

    work: Path
    lua: Path
    openresty: Path
    nginx: Nginx
    worker_user: str | None
    rules: Path

    @property
    def fetch_socket(self) -> Path:
        """The internal listener through which key sets are fetched."""
        return self.work / "fetch.sock"

    @property
    def keys(self) -> Path:
        """Key sets that validated, from which a restart begins."""
        return self.work / "keys"


def work_folder(state: Path) -> Path:
    """Choose the folder that the workers write to.

    As root the workers are another user, who cannot enter a checkout under /root; outside the state folder
    the paths of Unix sockets also stay under the 108 bytes that the kernel allows.

    Args:
        state: the absolute state folder.
    """
    if os.geteuid() != 0:
        return state / "work"
    return SYSTEM_WORK / hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
