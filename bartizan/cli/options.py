"""What the commands ask for, named and explained once.

Typer 0.25 with click 8.5 does not show the help of arguments: each command's own text says what they are.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_POLICY: Final = Path("gateway.yaml")
DEFAULT_STATE: Final = Path("var")

PolicyArgument = Annotated[
    Path | None,
    typer.Argument(metavar="POLICY", help="The policy file.", show_default="gateway.yaml"),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        "-p",
        metavar="FILE",
        help="The policy file; may stand without --policy too.",
        show_default=False,
    ),
]
OnlyPolicyOption = Annotated[Path, typer.Option("--policy", "-p", metavar="FILE", help="The policy file.")]
StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        "-s",
        metavar="DIR",
        envvar="BARTIZAN_STATE",
        help="Where logs, development certificates and what is rendered lie. One gateway a folder.",
    ),
]
NginxOption = Annotated[
    Path | None,
    typer.Option(
        "--nginx",
        metavar="PATH",
        envvar="BARTIZAN_NGINX",
        help="The nginx to run.",
        show_default="found on the PATH",
    ),
]


def chosen_policy(argument: Path | None, option: Path | None) -> Path:
    """Return the policy file that was named, in either way."""
    if argument is not None and option is not None and argument != option:
        raise typer.BadParameter(f"two policy files are named: {argument} and {option}; name one")
    return argument or option or DEFAULT_POLICY
