"""nginx with ModSecurity 3, detection only: what the suites are made for, and the proof of this runner."""

import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from load.bench.peers import modsecurity
from load.bench.processes import Process
from tests.conformance.engines.engine import Engine, setup
from tests.conformance.judge import Match
from tests.conformance.overrides import Override, of_platform
from tests.conformance.suites import Suite
from tests.support.ports import free_port

_AUDIT = """
SecAuditEngine On
SecAuditLogParts AHZ
SecAuditLogType Serial
SecAuditLogFormat JSON
SecAuditLog {log}
"""

_CONFIGURATION: Final = """
load_module {module};
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    large_client_header_buffers 4 16k;
    client_max_body_size 16m;
    modsecurity on;
    modsecurity_rules_file {rules};
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://127.0.0.1:{backend};
        }}
    }}
}}
"""


class ModsecurityEngine(Engine):
    """A running nginx."""

    # Its overrides are kept elsewhere, for other builds of it, too.
    strict = False

    def __init__(self, suite: Suite, backend: int) -> None:
        """Start it.

        Args:
            suite: whose rules it has.
            backend: the port of the service behind it.
        """
        self._suite = suite
        self._folder = Path(tempfile.mkdtemp(prefix="bartizan-modsecurity-"))
        self._folder.chmod(0o755)
        self._log = self._folder / "audit.log"
        self._log.touch(mode=0o666)
        self._log.chmod(0o666)
        self.port = free_port()
        rules = self._folder / "rules.conf"
        rules.write_text(
            modsecurity.rules(
                suite.rules,
                engine="DetectionOnly",
                answers=True,
                setup=setup(suite.crs, paranoia=True),
                audit=_AUDIT.format(log=self._log),
            ),
            encoding="utf-8",
        )
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                module=modsecurity.MODULE,
                user="user www-data;" if os.geteuid() == 0 else "",
                folder=self._folder,
                port=self.port,
                rules=rules,
                backend=backend,
            ),
            encoding="utf-8",
        )
        self._process = Process(
            ["nginx", "-p", self._folder, "-e", "stderr", "-c", configuration], self._folder / "nginx.log"
        )
        self._process.wait_for_port(self.port)

    def matches(self) -> Mapping[str, tuple[list[Match], list[str]]]:
        """Return the rules of the audit log by address."""
        found: dict[str, tuple[list[Match], list[str]]] = defaultdict(lambda: ([], []))
        for line in self._log.read_bytes().split(b"\n"):
            if not line:
                continue
            transaction = json.loads(line.decode("utf-8", "replace"), strict=False)["transaction"]
            matches, _ = found[transaction["client_ip"]]
            for message in transaction.get("messages", ()):
                details = message["details"]
                matches.append(Match(int(details["ruleId"]), message["message"], details["data"]))
        return dict(found)

    def overrides(self) -> Mapping[str, Override]:
        """Return those that the Core Rule Set keeps for this engine."""
        path = self._suite.root / "tests/regression/nginx-overrides.yaml"
        return of_platform(path) if path.is_file() else {}

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()
        shutil.rmtree(self._folder)
