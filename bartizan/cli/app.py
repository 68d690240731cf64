"""The commands, and what their help teaches."""

import json
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from bartizan.certificates import ensure_development_certificate
from bartizan.cli.console import complain, progress_of, refuse, say, show, warn
from bartizan.cli.options import (
    DEFAULT_POLICY,
    DEFAULT_STATE,
    NginxOption,
    OnlyPolicyOption,
    PolicyArgument,
    PolicyOption,
    StateOption,
    chosen_policy,
)
from bartizan.cli.rules import rules
from bartizan.errors import BartizanError
from bartizan.explain import explain as explain_request
from bartizan.generations import new_generation, prune, rendering_lock
from bartizan.layout import Layout
from bartizan.policy import Policy, load_policy, resolve
from bartizan.policy.document import read_document
from bartizan.policy.load import read_policy
from bartizan.policy.schema import policy_schema
from bartizan.ports import busy
from bartizan.prepare import find_layout, find_state, prepare_certificate, prepare_folders
from bartizan.reload import reload as reload_gateway
from bartizan.reload import running_master
from bartizan.render.plans import compile_plans
from bartizan.supervise import run as run_gateway

app = typer.Typer(
    name="bartizan",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: bartizan check, bartizan run, then curl --cacert var/tls/ca.pem https://localhost:8443/healthz",
)
app.add_typer(rules)


def main() -> None:
    """Run the command; what a person can put right is one sentence and exit code 1."""
    try:
        app()
    except (BartizanError, OSError) as error:
        refuse(error)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"bartizan {version('bartizan')}")
        except PackageNotFoundError:
            typer.echo("bartizan (from a folder that was not installed)")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A security gateway in front of your HTTP services.

    A policy file says what is served and what guards it; nginx serves it.
    """


def _compile_rules(policy: Policy, layout: Layout) -> None:
    """Compile what was not compiled before, so that it is there when the policy is rendered."""
    with progress_of("compiling the rules") as progress:
        compile_plans(policy, layout, resolve(policy), progress)


@app.command(epilog="Examples: bartizan check  |  bartizan check /etc/bartizan/gateway.yaml --ports-free")
def check(
    policy: PolicyArgument = None,
    file: PolicyOption = None,
    state: StateOption = DEFAULT_STATE,
    nginx: NginxOption = None,
    ports_free: Annotated[
        bool,
        typer.Option("--ports-free", help="Also fail if a port can't be listened on, and say who holds it."),
    ] = False,
    also: Annotated[
        list[int] | None,
        typer.Option(
            "--also", metavar="PORT", help="With --ports-free: another port that will be needed here."
        ),
    ] = None,
) -> None:
    """Judge a policy: its own sense and safety, then what nginx says to it.

    Every mistake is told with its file, line and key, and what would be right. Nothing that runs is touched.
    Rules that had to be compiled for it are kept in the state folder.
    """
    path = chosen_policy(policy, file)
    judged, doubts = read_policy(path)
    with tempfile.TemporaryDirectory(prefix="bartizan-check-") as folder:
        rules = find_state(state).state / "rules"
        layout = find_layout(Path(folder), nginx, work=Path(folder, "work"), rules=rules)
        prepare_folders(layout)
        _compile_rules(judged, layout)
        prepare_certificate(judged, layout)
        new_generation(judged, layout)
    problems = list(busy(judged, also=also or ())) if ports_free else []
    warn(path, doubts)
    for sentence in problems:
        complain(sentence)
    if problems:
        raise typer.Exit(1)
    say(f"{path} is good (routes: {len(judged.routes)}, upstreams: {len(judged.upstreams)})")


@app.command(epilog="Example: bartizan render gateway.yaml --state /tmp/look")
def render(
    policy: PolicyArgument = None,
    file: PolicyOption = None,
    state: StateOption = DEFAULT_STATE,
    nginx: NginxOption = None,
) -> None:
    """Write what nginx would be given, have it judged, and print where it lies. It does not serve yet."""
    judged = load_policy(chosen_policy(policy, file))
    layout = find_layout(state, nginx)
    prepare_folders(layout)
    prepare_certificate(judged, layout)
    _compile_rules(judged, layout)
    with rendering_lock(layout):
        folder = new_generation(judged, layout)
        prune(layout)
    typer.echo(folder)


@app.command(
    epilog="Examples: bartizan run  |  bartizan run /etc/bartizan/gateway.yaml --state /var/lib/bartizan"
)
def run(
    policy: PolicyArgument = None,
    file: PolicyOption = None,
    state: StateOption = DEFAULT_STATE,
    nginx: NginxOption = None,
    wait: Annotated[
        float,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, help="Start once upstreams and issuers accept connections."
        ),
    ] = 0.0,
    hint: Annotated[str, typer.Option("--hint", metavar="TEXT", help="What to say once it is ready.")] = "",
) -> None:
    """Start the gateway in the foreground and tell when it is ready.

    Ctrl-C or SIGTERM finishes the requests in flight and stops. SIGHUP does what bartizan reload does.
    SIGUSR1 reopens the logs after a rotation.
    """
    path = chosen_policy(policy, file)
    layout = find_layout(state, nginx)
    # Here Ctrl-C still ends it at once.
    _compile_rules(load_policy(path), layout)
    raise typer.Exit(run_gateway(path, layout, say, complain, wait=wait, hint=hint))


@app.command(
    epilog="Example, after a renewal: bartizan reload /etc/bartizan/gateway.yaml --state /var/lib/bartizan"
)
def reload(
    policy: PolicyArgument = None,
    file: PolicyOption = None,
    state: StateOption = DEFAULT_STATE,
    nginx: NginxOption = None,
) -> None:
    """Put a changed policy, address list or renewed certificate into effect; no request is lost.

    A bad policy never replaces a good one: the command fails, says where, and the old policy serves on.
    Limits keep their counts.
    """
    path = chosen_policy(policy, file)
    judged, doubts = read_policy(path)
    layout = find_layout(state, nginx)
    master = running_master(layout)
    _compile_rules(judged, layout)
    generation = reload_gateway(judged, layout, master)
    warn(path, doubts)
    say(f"reloaded: generation {generation} serves")


@app.command(
    epilog="Examples: bartizan explain GET /api/users/7  |  bartizan explain POST https://api.example.com/oauth/token"
)
def explain(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="As the client sends it, such as GET.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="A whole URL, or a path on the public origin.")],
    policy: OnlyPolicyOption = DEFAULT_POLICY,
) -> None:
    """Show what a request meets: the route that takes it, every guard's settings, and where each was written.

    METHOD is as the client sends it; URL is a whole one, or a path on the public origin.
    A request that no route takes is explained too: 404 or 405, and what is close.
    """
    show(explain_request(load_policy(policy), method.upper(), url), read_document(policy), policy)


@app.command(
    epilog="Example: bartizan schema > gateway.schema.json; then the policy's first line may be"
    " # yaml-language-server: $schema=gateway.schema.json"
)
def schema() -> None:
    """Print the JSON schema of a policy file, with which an editor completes and checks it.

    It knows each key by itself. What one must be because of another is what bartizan check judges.
    """
    typer.echo(json.dumps(policy_schema(), indent=2, ensure_ascii=False))


@app.command(
    epilog="Example: bartizan certificate && curl --cacert var/tls/ca.pem https://localhost:8443/healthz"
)
def certificate(
    policy: PolicyArgument = None,
    file: PolicyOption = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make or renew the development certificate, and print the authority to trust.

    bartizan run does it by itself where the policy names no certificate. It is good for localhost, 127.0.0.1,
    ::1 and the public origin's host.
    """
    judged = load_policy(chosen_policy(policy, file))
    folder = find_state(state)
    made = ensure_development_certificate(folder, urlsplit(judged.public_origin).hostname or "localhost")
    say(f"{'made' if made else 'still good'}: {folder.server_certificate}; trust {folder.ca_certificate}")
