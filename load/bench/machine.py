"""On what was measured, with which releases."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from load.bench.peers.envoy import COMMAND

_COMMANDS: Final = {
    "nginx": ("nginx", "-v"),
    "haproxy": ("haproxy", "-v"),
    "envoy": (str(COMMAND), "--version"),
    "wrk": ("wrk", "-v"),
    "h2load": ("h2load", "--version"),
}
_RELEASE: Final = re.compile(r"\d+\.\d+(?:\.\d+)?")


def describe() -> dict[str, Any]:
    """Return the machine, its system, and what is installed."""
    model = re.search(
        r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE
    )
    memory = re.search(
        r"^MemTotal: +(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE
    )
    found = {name: _release(*command) for name, command in _COMMANDS.items()}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(memory[1]) // 1024 if memory else None,
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "releases": {name: release for name, release in found.items() if release},
        "bartizan": _installed("bartizan"),
    }


def _release(*command: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 (words of our own)
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except FileNotFoundError:
        return None
    match = _RELEASE.search(done.stdout + done.stderr)
    return match[0] if match else None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
