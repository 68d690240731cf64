"""The `tokendealer` command."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError
from typer.core import TyperGroup

from tokendealer import settings
from tokendealer.client_store import ClientEntry
from tokendealer.problems import PersonError
from tokendealer.settings import Algorithm, LogFormat, make_settings
from tokendealer.state import StateFolder
from tokendealer.token_request import fetch_token


class _Sentences(TyperGroup):
    """Tells what a person can put right in one sentence, without a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PersonError as error:
            sentence = str(error)
        except DBAPIError as error:
            sentence = f"the database fails: {error.orig}"
        except OSError as error:
            sentence = f"{error.filename or 'the system'} fails: {error.strerror or error}"
        typer.echo(f"tokendealer: {sentence}", err=True)
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Sentences,
    help="The OAuth2 token service: registered clients get signed access tokens for their credentials.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
clients_app = typer.Typer(help="Register, list and disable clients.", no_args_is_help=True)
app.add_typer(clients_app, name="clients")

State = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="TOKENDEALER_STATE",
        metavar="DIR",
        help="The folder of the database, keys and pepper.",
    ),
]
SigningAlgorithm = Annotated[
    Algorithm,
    typer.Option(
        "--algorithm",
        envvar="TOKENDEALER_ALGORITHM",
        case_sensitive=True,
        help="RS512 is the most widely understood, EdDSA by far the fastest.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def init(
    state: State = settings.DEFAULT_STATE,
    algorithm: SigningAlgorithm = settings.DEFAULT_ALGORITHM,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Register the demo client too; DIR/demo-client.json has its secret."),
    ] = False,
) -> None:
    """Create the state folder, the database, the signing key and the pepper; what is there stays as it is.

    Run it again after an update, or to add a key for another algorithm.
    """
    done = asyncio.run(StateFolder(state).initialise(algorithm, demo=demo))
    for line in done:
        typer.echo(line)
    if not done:
        typer.echo(f"{state} is complete; nothing to do")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(envvar="TOKENDEALER_HOST", help="The address to listen on.")
    ] = settings.DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(envvar="TOKENDEALER_PORT", help="The port to listen on; 0 takes a free one.")
    ] = settings.DEFAULT_PORT,
    state: State = settings.DEFAULT_STATE,
    issuer: Annotated[
        str, typer.Option(envvar="TOKENDEALER_ISSUER", help="The public origin; every token's `iss`.")
    ] = settings.DEFAULT_ISSUER,
    algorithm: SigningAlgorithm = settings.DEFAULT_ALGORITHM,
    log: Annotated[
        LogFormat, typer.Option(envvar="TOKENDEALER_LOG", help="How the log is written.")
    ] = "readable",
) -> None:
    """Serve in the foreground until Ctrl-C. Several may serve one state folder at once."""
    from tokendealer import server  # noqa: PLC0415  Quart and hypercorn take half a second to import

    server.serve(
        make_settings(state=state, issuer=issuer, algorithm=algorithm, host=host, port=port, log=log)
    )


@app.command()
def token(
    state: State = settings.DEFAULT_STATE,
    url: Annotated[
        str,
        typer.Option(
            envvar="TOKENDEALER_URL", help="Where the token service, or the gateway before it, answers."
        ),
    ] = f"http://{settings.DEFAULT_HOST}:{settings.DEFAULT_PORT}",
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate authority to trust for an https URL.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="Ask for these scopes only, separated by spaces.")] = None,
) -> None:
    """Print an access token for the demo client, and nothing else."""
    typer.echo(fetch_token(StateFolder(state).read_demo_client(), url, ca, scope))


@clients_app.command("add")
def add_client(
    client_id: Annotated[str, typer.Argument(help="The client's name.")],
    audience: Annotated[
        list[str], typer.Option(help="A service that its tokens may be for; may be given several times.")
    ],
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope that it may ask for; may be given several times.")
    ] = None,
    state: State = settings.DEFAULT_STATE,
    as_json: AsJson = False,
) -> None:
    """Register a client and print its secret, once: only a hash of it is kept."""

    async def work() -> str:
        async with StateFolder(state).open() as opened:
            return await opened.clients.add(client_id, scope or [], audience)

    secret = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps({"client_id": client_id, "client_secret": secret}))
    else:
        typer.echo(f"client_id:     {client_id}\nclient_secret: {secret}")
        typer.echo("Keep the secret now: it is not shown again.", err=True)


@clients_app.command("list")
def list_clients(state: State = settings.DEFAULT_STATE, as_json: AsJson = False) -> None:
    """List the registered clients."""

    async def work() -> list[ClientEntry]:
        async with StateFolder(state).open() as opened:
            return await opened.clients.list()

    entries = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in entries]))
        return
    table = Table("client", "scopes", "audiences", "registered", "state")
    for entry in entries:
        disabled = entry.disabled_at is not None
        table.add_row(
            entry.client_id,
            " ".join(entry.scopes),
            " ".join(entry.audiences),
            _date(entry.created_at),
            f"disabled {_date(entry.disabled_at)}" if entry.disabled_at is not None else "enabled",
            style="dim" if disabled else None,
        )
    Console().print(table)


@clients_app.command("disable")
def disable_client(
    client_id: Annotated[str, typer.Argument(help="The client's name.")],
    state: State = settings.DEFAULT_STATE,
) -> None:
    """Stop a client from getting tokens, within a second; those that it has stay good until they expire."""

    async def work() -> None:
        async with StateFolder(state).open() as opened:
            await opened.clients.disable(client_id)

    asyncio.run(work())
    typer.echo(f"{client_id} gets no tokens any more")


def _date(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")


def main() -> None:
    """Run the command."""
    app(prog_name="tokendealer")
