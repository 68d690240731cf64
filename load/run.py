"""`make load`: locust, headless, against a gateway with all its services that is started for it.

Everything runs on free ports in temporary folders and is stopped in the end. Traffic goes to loopback only.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from load.command import number, stop
from load.target import Target
from tests.support.stack import DEMO, READER, Stack

ROOT: Final = Path(__file__).resolve().parents[1]
REPORT: Final = ROOT / "build" / "reports" / "load.html"
MAX_SECONDS: Final = 1800  # the tokens that all share are good for an hour


def main() -> int:
    """Run and return the exit code: 0 if every status was as expected and no log tells of an error."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, stop)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    _say("Starting token service, example service and gateway")
    try:
        with Stack() as stack:
            # What the attacks are about; any other error in a log fails the run.
            stack.gateway.expect_error("client intended to send too large body")
            code = _locust(stack, arguments.seconds, arguments.users)
            _say("Stopping")
    except AssertionError as error:
        _say(f"It did not go as it should: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    _say(f"The report is in {REPORT.relative_to(ROOT)}")
    _say("All as expected" if code == 0 else "Something was not as expected: see above")
    return code


def _locust(stack: Stack, seconds: int, users: int) -> int:
    target = Target(
        port=int(stack.gateway.https.rpartition(":")[2]),
        ca=str(stack.gateway.ca),
        token=stack.token(DEMO),
        reader_token=stack.token(READER),
        client_id=DEMO,
        client_secret=stack.secrets[DEMO],
    )
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", "load/locustfile.py"),
        *("--headless", "--only-summary", "--users", str(users), "--spawn-rate", "10"),
        *("--run-time", f"{seconds}s", "--stop-timeout", "20", "--html", str(REPORT)),
    ]
    environment = _environment() | target.as_environment()
    locust = subprocess.Popen(command, cwd=ROOT, env=environment)  # noqa: S603 (all of it is ours)
    try:
        return locust.wait()
    finally:
        if locust.poll() is None:
            locust.terminate()
            locust.wait()


def _environment() -> dict[str, str]:
    """Return the environment without locust's own variables: a run is always the same."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m load.run", description="Load a gateway that is started for it, and report."
    )
    parser.add_argument("--seconds", type=number(10, MAX_SECONDS), default=30, help="how long (default: 30)")
    parser.add_argument("--users", type=number(5, 200), default=20, help="how many clients (default: 20)")
    return parser.parse_args()


def _say(sentence: str) -> None:
    sys.stderr.write(f"load: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
