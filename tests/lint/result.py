"""What a check says, and how a tool is run."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check.

    Attributes:
        state: ``passed``; ``failed``; or ``not checked``, where what it needs from outside can't be reached.
        text: What a person needs to act on; one line for ``not checked``.
    """

    state: Literal["passed", "failed", "not checked"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool left behind."""

    code: int
    stdout: str
    stderr: str


Run = Callable[[Sequence[str]], Output]


def run(command: Sequence[str]) -> Output:
    """Run a tool in the top folder; one of the virtual environment goes before one of the system.

    A tool that is missing, or does not end, comes back like one that failed.
    """
    own = Path(sys.executable).parent / command[0]
    try:
        done = subprocess.run(
            [str(own) if own.exists() else command[0], *command[1:]],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        return Output(127, "", f"{command[0]} is not installed; `make setup` installs it")
    except subprocess.TimeoutExpired:
        return Output(124, "", f"{command[0]} timed out after {TIMEOUT:g} seconds")
    return Output(done.returncode, done.stdout, done.stderr)


def judge(output: Output) -> Result:
    """Take a tool's word for it: 0 is passed, everything else is failed."""
    if output.code == 0:
        return Result("passed")
    text = f"{output.stdout}\n{output.stderr}".strip()
    return Result("failed", text or f"ended with {output.code} and said nothing")
