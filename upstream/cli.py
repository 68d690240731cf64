"""The `upstream` command."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from upstream import database, log
from upstream.listen import ListenError, open_socket
from upstream.redirects import Origin
from upstream.serve import serve as run
from upstream.settings import Settings

app = typer.Typer(
    name="upstream",
    help="The example data service that stands behind the gateway.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DEFAULTS = Settings()

State = Annotated[Path, typer.Option(help="The folder of the database.")]


@app.command()
def init(state: State = _DEFAULTS.state) -> None:
    """Make the database and its sample users. Running it again changes nothing."""
    settings = Settings(state=state)
    try:
        database.make_file(settings.database)
        added = asyncio.run(database.initialise(settings.database))
    except OSError as error:
        raise _failure(f"can't make {settings.database}: {error.strerror}.") from error
    except DBAPIError as error:
        raise _failure(f"can't use {settings.database}: {error.orig}.") from error
    if added:
        typer.echo(f"Made {settings.database} with {added} sample users.")
    else:
        typer.echo(f"{settings.database} is there already; nothing was changed.")


@app.command()
def serve(  # noqa: PLR0913, PLR0917 (a command's options are its parameters)
    host: Annotated[str, typer.Option(help="The loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 5200,
    state: State = _DEFAULTS.state,
    jwks: Annotated[str, typer.Option(help="The URL of the issuer's key set.")] = _DEFAULTS.jwks,
    issuer: Annotated[str, typer.Option(help="What a token's `iss` must be.")] = _DEFAULTS.issuer,
    audience: Annotated[str, typer.Option(help="What a token's `aud` must name.")] = _DEFAULTS.audience,
    safe_redirect: Annotated[
        list[str] | None,
        typer.Option(help="An origin that may be redirected to, like https://github.com; may be repeated."),
    ] = None,
    inner_network: Annotated[
        bool, typer.Option(help="Also listen on a private network: for a container next to the gateway's.")
    ] = False,
    log_format: Annotated[log.Format, typer.Option("--log", help="How the log is written.")] = "readable",
) -> None:
    """Serve the API in the foreground, until Ctrl-C or SIGTERM."""
    settings = _settings(state, jwks, issuer, audience, safe_redirect)
    try:
        database.check(settings.database)
        with open_socket(host, port, inner_network=inner_network) as listener:
            log.configure(log_format)
            run(settings, listener)
    except (ListenError, database.NotInitialisedError) as error:
        raise _failure(str(error)) from error


def _settings(
    state: Path, jwks: str, issuer: str, audience: str, safe_redirect: list[str] | None
) -> Settings:
    try:
        origins = frozenset(map(Origin.parse, safe_redirect)) if safe_redirect else _DEFAULTS.safe_redirects
    except ValueError as error:
        raise _failure(f"--safe-redirect: {error}.") from error
    try:
        return Settings(state=state, jwks=jwks, issuer=issuer, audience=audience, safe_redirects=origins)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _failure(f"--{first['loc'][0]}: {first['msg']}, not {first['input']!r}.") from error


def _failure(sentence: str) -> typer.Exit:
    typer.echo(f"upstream: {sentence}", err=True)
    return typer.Exit(1)


def main() -> None:
    """Run the command."""
    app()
