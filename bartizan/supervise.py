"""`bartizan run`: nginx as a child in the foreground, from the first check to the last worker's end."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError, told
from bartizan.generations import activate, new_generation, prune, rendering_lock
from bartizan.layout import Layout
from bartizan.peers import unreachable
from bartizan.policy import Policy, load_policy
from bartizan.ports import busy
from bartizan.prepare import closed_to_workers, prepare_certificate, prepare_folders, remove_stale_sockets
from bartizan.readiness import wait_until_ready
from bartizan.reload import HandoverError, reload, run_lock

START_PATIENCE: Final = 60.0
# What a request may still take after the order to stop.
GRACE: Final = 10.0
HURRY: Final = 2.0
_PEER_PAUSE: Final = 0.1
_PR_SET_PDEATHSIG: Final = 1
_STOP: Final = (signal.SIGTERM, signal.SIGINT)
_WATCHED: Final = (*_STOP, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
_libc: Final = ctypes.CDLL(None, use_errno=True)

Say = Callable[[str], None]


def run(
    policy_path: Path, layout: Layout, say: Say, complain: Say, *, wait: float = 0.0, hint: str = ""
) -> int:
    """Run a gateway until it is told to stop.

    SIGTERM and SIGINT stop it: requests in flight are finished, for a bounded time; a second one hurries.
    SIGHUP reloads the policy. SIGUSR1 has nginx reopen its logs.

    Args:
        policy_path: the policy file.
        layout: where everything lies.
        say: tells the operator what is being done.
        complain: tells the operator what went wrong while the gateway serves on.
        wait: for how many seconds, at most, the services behind it are awaited before it starts.
        hint: what to say once it is ready.

    Returns:
        The exit code: 0 if it was told to stop, 1 if nginx ended by itself.

    Raises:
        BartizanError: it could not be started; nothing of it is left running.
    """
    with _signals_in_turn():
        return _run(policy_path, layout, say, complain, wait, hint)


@contextmanager
def _signals_in_turn() -> Iterator[None]:
    """Have signals taken one at a time by `_next_signal`, so that nothing interrupts a step half-way."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        yield
    finally:
        # One that came after the last was taken has nothing left to end.
        while signal.sigtimedwait(_WATCHED, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(policy_path: Path, layout: Layout, say: Say, complain: Say, wait: float, hint: str) -> int:
    policy = load_policy(policy_path)
    prepare_folders(layout)
    with run_lock(layout):
        taken = list(busy(policy))
        if taken:
            raise BartizanError("\nbartizan: ".join(taken))
        remove_stale_sockets(layout)
        if prepare_certificate(policy, layout):
            say(f"made a development certificate; to trust it: {layout.ca_certificate}")
        closed = closed_to_workers(layout)
        if closed is not None:
            complain(
                f"warning: {layout.worker_user} may not enter {closed}, so after a rotation of the logs nginx"
                " would go on writing to the old files; use another --state DIR"
            )
        with rendering_lock(layout):
            folder = new_generation(policy, layout)
            activate(layout, folder)
            prune(layout)
        say(f"checked {policy_path}, rendered {folder.name}")
        if wait:
            _await_peers(policy, wait, say, complain)
        say(f"starting {layout.nginx.binary} {layout.nginx.version} (ngx_lua {layout.nginx.lua_version})")
        nginx = _Nginx(layout)
        try:
            _await_ready(policy, nginx, folder.name, say)
            if hint:
                say(hint)
            return _serve(policy_path, layout, nginx, say, complain)
        finally:
            nginx.end()


def _await_peers(policy: Policy, seconds: float, say: Say, complain: Say) -> None:
    deadline = time.monotonic() + seconds
    told = ""
    while (url := unreachable(policy)) is not None:
        if time.monotonic() > deadline:
            complain(f"warning: {url} has accepted no connection for {seconds:g} s; starting all the same")
            return
        if url != told:
            say(f"waiting for {url}")
            told = url
        if _next_signal(_PEER_PAUSE) in _STOP:
            raise BartizanError("stopped before it was ready")


def _await_ready(policy: Policy, nginx: "_Nginx", generation: str, say: Say) -> None:
    started = time.monotonic()
    stopped = False

    def pause(seconds: float) -> bool:
        nonlocal stopped
        stopped = _next_signal(seconds) in _STOP
        return not stopped and nginx.alive

    if wait_until_ready(policy.listen.operator, generation, START_PATIENCE, pause):
        say(
            f"ready: {policy.public_origin} (routes: {len(policy.routes)}; metrics and readiness:"
            f" http://{policy.listen.operator.address}; nginx took {time.monotonic() - started:.1f} s)"
        )
        _tell_systemd("READY=1")
    elif stopped:
        raise BartizanError("stopped before it was ready")
    elif not nginx.alive:
        raise BartizanError(f"nginx did not start ({nginx.ending}); its own words stand above")
    else:
        raise BartizanError(
            f"nginx started but was not ready within {START_PATIENCE:.0f} s; its own words stand above"
        )


def _serve(policy_path: Path, layout: Layout, nginx: "_Nginx", say: Say, complain: Say) -> int:
    while nginx.alive:
        received = _next_signal(None)
        if received in _STOP:
            say("stopping: requests in flight are finished first")
            _tell_systemd("STOPPING=1")
            done = nginx.quit(lambda seconds: _next_signal(seconds) not in _STOP)
            nginx.end()
            say("stopped" if done else "stopped; requests that took too long were cut off")
            return 0
        if received == signal.SIGUSR1:
            nginx.send(signal.SIGUSR1)
        elif received == signal.SIGHUP:
            try:
                generation = reload(load_policy(policy_path), layout, nginx.pid, lambda s: _idle(nginx, s))
                say(f"reloaded: generation {generation} serves")
            except HandoverError as error:
                complain(str(error))
            except (BartizanError, OSError) as error:
                complain(f"{told(error)}\nnot reloaded: the old policy serves on")
    complain(f"nginx ended by itself ({nginx.ending}); its own words stand above")
    return 1


def _idle(nginx: "_Nginx", seconds: float) -> bool:
    # Signals that come meanwhile stay pending: they have their turn when the reload is through.
    time.sleep(seconds)
    return nginx.alive and not signal.sigpending() & set(_STOP)


def _next_signal(seconds: float | None) -> int | None:
    """Return the next signal, or None if none comes in time."""
    if seconds is None:
        return signal.sigwait(_WATCHED)
    received = signal.sigtimedwait(_WATCHED, seconds)
    return received.si_signo if received else None


class _Nginx:
    """nginx's master as a child, and with it the group of its workers."""

    def __init__(self, layout: Layout) -> None:
        parent = os.getpid()

        def before_exec() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            # Should this process be killed, nginx ends with it and lets go of the ports.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it was killed before the line above
                os._exit(1)

        # A session of its own: Ctrl-C reaches this process alone, which then stops nginx gracefully.
        command = [str(layout.nginx.binary), "-e", "stderr", "-p", str(layout.edge)]
        command += ["-c", str(layout.configuration), "-g", "daemon off;"]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509  # no threads here that could hold a lock
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "it still runs"
        return f"by signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def quit(self, patient: Callable[[float], bool]) -> bool:
        """Stop gracefully.

        Args:
            patient: sleeps for so long, or until a signal comes, and says whether to stay patient.

        Returns:
            Whether it has ended by itself in time.
        """
        self.send(signal.SIGQUIT)
        deadline = time.monotonic() + GRACE
        while self.alive and time.monotonic() < deadline and patient(0.1):
            pass
        return not self.alive

    def end(self) -> None:
        """Leave nothing running: first by order, then by force, the workers of a killed master included."""
        if self.alive:
            self.send(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(HURRY)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _tell_systemd(state: str) -> None:
    """Tell a service manager that waits for it (sd_notify(3)); do nothing without one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            manager.sendall(state.encode())
