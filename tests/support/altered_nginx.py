"""An nginx that reads the gateway's configuration with changes in it: for faults that no policy makes."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from bartizan.nginx import find_nginx


def altered_nginx(
    folder: Path, changes: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write a program `nginx` that edits nginx.conf and then is nginx; return the environment that finds it.

    Args:
        folder: where to write it; empty.
        changes: texts of nginx.conf, and what stands there instead. The gateway does not start where one of
            them is missing, so that no test runs without its fault.
        environment: further variables for nginx alone. Its workers have those that an `env` line names.
    """
    program = folder / "nginx"
    edits, checks = [], []
    for text, other in changes.items():
        assert not set("|\n") & set(text + other)
        edits.append("-e " + shlex.quote(f"s|{text}|{other}|"))
        checks.append(f'grep -q -- {shlex.quote(text)} "$1" || {{ echo "no {text} in $1" >&2; exit 1; }}')
    # What only asks nginx for its version, or rehearses a policy, has a configuration of its own.
    variables = " ".join(shlex.quote(f"{name}={value}") for name, value in (environment or {}).items())
    program.write_text(
        f"""#!/bin/sh
change() {{
    grep -q "^# Rendered by bartizan" "$1" || {{ echo "$1"; return; }}
    {" ; ".join(checks)}
    sed {" ".join(edits)} "$1" >"$1.altered" && echo "$1.altered"
}}
left=$#
while [ "$left" -gt 0 ]; do
    word=$1
    shift
    [ "$option" != -c ] || word=$(change "$word") || exit 1
    option=$word
    set -- "$@" "$word"
    left=$((left - 1))
done
exec env {variables} {shlex.quote(str(find_nginx().binary))} "$@"
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
