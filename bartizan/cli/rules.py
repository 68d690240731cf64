"""`bartizan rules`: what is done with rule files beside a policy."""

from typing import Annotated

import typer

from bartizan.cli import rules_plan
from bartizan.cli.console import say
from bartizan.cli.options import DEFAULT_STATE, StateOption
from bartizan.prepare import find_state
from bartizan.rules.install import install as install_release
from bartizan.rules.read import read_rules
from bartizan.rules.tree import find_tree

rules = typer.Typer(
    name="rules",
    no_args_is_help=True,
    help="The web application firewall's rules: install a Core Rule Set, look at what it says.",
)


@rules.command(
    epilog="Examples: bartizan rules install crs-4.28.0.tar.gz --sha256 …"
    "  |  bartizan rules install https://example.com/crs-4.28.0.zip  |  bartizan rules install"
)
def install(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, an archive (.tar.gz, .zip), or the https address of one.",
            show_default="Debian's modsecurity-crs",
        ),
    ] = None,
    state: StateOption = DEFAULT_STATE,
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256",
            metavar="HEX",
            help="What the SHA-256 must be: of the archive, or of a folder as install prints it.",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Let another content take the place of an installed release."),
    ] = False,
) -> None:
    """Install a release of the OWASP Core Rule Set, 4.x or 3.3, under a name for a policy's rules.source.

    SOURCE is a folder, an archive (.tar.gz, .zip) or the https address of one. Its checksum is pinned:
    files that were changed afterwards are not used. Without SOURCE it tells about Debian's package
    modsecurity-crs, which is used where a policy names no other rules, and needs no installing.
    """
    if source is None:
        tree = find_tree()
        count = len(read_rules(tree.order(), tree.core).rules)
        say(f"Debian's modsecurity-crs {tree.version} is there ({count} rules); it needs no installing")
        return
    made = install_release(source, find_state(state).state / "rules" / "installed", sha256, replace=replace)
    say(f"{'installed' if made.new else 'still good'}: {made.name} ({made.rules} rules) in {made.folder}")
    say(f"sha256 {made.sha256}; a policy names it so: rules: {{source: {made.name}}}")


rules.command(
    "compile",
    epilog="Examples: bartizan rules compile  |  bartizan rules compile --source crs-4.28.0 --paranoia 2",
)(rules_plan.compile_)
rules.command("list", epilog="Example, all that is left out: bartizan rules list --all --paranoia 2")(
    rules_plan.list_
)
rules.command("show", epilog="Example: bartizan rules show 942100")(rules_plan.show)
