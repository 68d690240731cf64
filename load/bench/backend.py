"""The one service behind all proxies: an nginx that answers from memory, and keeps its connections.

It costs less than any proxy in front of it, and has another core. It publishes the key set of the tokens,
too, and answers slowly what is asked for by the name of slow.
"""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from load.bench.processes import Process
from tests.support.ports import free_port

BODY: Final = '{"users":[{"id":1,"name":"Ada Lovelace"},{"id":2,"name":"Grace Hopper"}],"next":null}'

_CONFIGURATION: Final = """
daemon off;
master_process off;
pid {folder}/backend.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{body}'; }}
        location ~ /slow$ {{
            limit_rate 16;
            return 200 '{body}';
        }}
        location = /jwks.json {{ alias {keys}; }}
    }}
}}
"""


class Backend:
    """A running backend.

    Attributes:
        port: where it listens on 127.0.0.1.
    """

    def __init__(self, folder: Path, keys: Path) -> None:
        """Start it.

        Args:
            folder: for its files.
            keys: the document of the key set.
        """
        self.port = free_port()
        configuration = folder / "backend.conf"
        configuration.write_text(
            _CONFIGURATION.format(folder=folder, port=self.port, body=BODY, keys=keys), encoding="utf-8"
        )
        self._process = Process(
            ["nginx", "-p", folder, "-e", "stderr", "-c", configuration], folder / "backend.log"
        )
        self._process.wait_for_port(self.port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
