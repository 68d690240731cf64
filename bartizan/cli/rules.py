"""`bartizan rules`: what is done with rule files beside a policy."""

import typer

rules = typer.Typer(
    name="rules",
    no_args_is_help=True,
    help="Rules of the web application firewall: install a release of the Core Rule Set, look at what it says.",
)
