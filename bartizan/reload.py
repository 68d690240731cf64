"""Putting a changed policy or a renewed certificate into effect while requests flow."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bartizan.errors import BartizanError
from bartizan.generations import activate, current_generation, new_generation, prune, rendering_lock
from bartizan.layout import Layout
from bartizan.policy import Policy
from bartizan.ports import busy
from bartizan.prepare import prepare_certificate, prepare_folders
from bartizan.readiness import PAUSE, wait_until_ready

PATIENCE: Final = 60.0
HANDOVER: Final = 5.0


class HandoverError(BartizanError):
    """The new policy serves, but so does the old one."""


@contextmanager
def run_lock(layout: Layout) -> Iterator[None]:
    """Hold what only one gateway of a state folder may hold, for as long as it runs.

    Raises:
        BartizanError: another gateway runs.
    """
    with (layout.edge / "run.lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise BartizanError(
                f"a gateway already runs with the state folder {layout.state} (process {holder});"
                " stop it, reload it, or use another --state DIR"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def running_master(layout: Layout) -> int:
    """Return the process id of nginx's master.

    Raises:
        BartizanError: no gateway runs with this state folder.
    """
    try:
        with (layout.edge / "run.lock").open("r", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return int(layout.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            raise BartizanError(
                "the gateway is still starting; try again when it says that it is ready"
            ) from None
    except PermissionError:
        raise BartizanError(
            f"the gateway of {layout.state} is another user's; reload it as that user"
        ) from None
    except OSError:
        pass
    raise BartizanError(f"no gateway runs with the state folder {layout.state}; start one with bartizan run")


def reload(policy: Policy, layout: Layout, master: int, pause: Callable[[float], bool] | None = None) -> str:
    """Render, judge and swap in a policy; the old one serves on if anything is wrong with the new one.

    Every connection that is made after the return is judged by the new policy. Those that were there before
    finish what they are at with the old one.

    Args:
        policy: the new one.
        layout: where the gateway lies.
        master: nginx's master.
        pause: see `wait_until_ready`.

    Returns:
        The generation that serves now.

    Raises:
        HandoverError: the new policy serves, but old workers still take connections.
        BartizanError: the old policy serves on, and why.
    """
    pause = pause or _while_alive(master)
    for sentence in busy(policy, ours=_group(master)):
        raise BartizanError(sentence)
    prepare_folders(layout)
    prepare_certificate(policy, layout)
    with rendering_lock(layout):
        old = current_generation(layout)
        folder = new_generation(policy, layout)
        activate(layout, folder)
        taken = False
        before = _accepting(master)
        try:
            _signal(master)
            taken = wait_until_ready(policy.listen.operator, folder.name, PATIENCE, pause)
        finally:
            if not taken:
                _return_to(layout, old, master)
        if not taken:
            raise BartizanError(
                f"nginx did not take the new policy within {PATIENCE:.0f} s; the log of bartizan run says why"
            )
        prune(layout)
    _await_handover(master, before, pause)
    return folder.name


def _accepting(master: int) -> set[int]:
    """Return the process ids of nginx's workers that take connections."""
    workers = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError, ValueError):  # it has ended meanwhile
                # proc(5), stat: the parent is the second field after the name, which is in parentheses.
                parent = int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
                title = (process / "cmdline").read_bytes() if parent == master else b""
                if b"worker process" in title and b"shutting down" not in title:
                    workers.add(int(process.name))
    return workers


def _await_handover(master: int, old: set[int], pause: Callable[[float], bool]) -> None:
    """Wait until workers with the old policy take no more connections, or until the gateway is to stop.

    nginx starts the new ones first, and for about 0.1 s both take connections from the same sockets.

    Raises:
        HandoverError: they still take some.
    """
    deadline = time.monotonic() + HANDOVER
    while left := old & _accepting(master):
        if time.monotonic() > deadline:
            raise HandoverError(
                f"the new policy serves, but nginx's processes {', '.join(map(str, sorted(left)))} still take"
                " connections with the old one; end them with kill -QUIT, or restart the gateway"
            )
        if not pause(PAUSE):
            return


def _signal(master: int) -> None:
    try:
        os.kill(master, signal.SIGHUP)
    except ProcessLookupError:
        raise BartizanError("nginx has ended; the log of bartizan run says why") from None
    except PermissionError:
        raise BartizanError("the gateway runs as another user; reload it as that user, or as root") from None


def _while_alive(master: int) -> Callable[[float], bool]:
    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        try:
            os.kill(master, 0)
        except ProcessLookupError:
            return False
        return True

    return pause


def _return_to(layout: Layout, old: Path | None, master: int) -> None:
    """Undo a swap. Should nginx still come to the new policy late, the second HUP brings it back.

    The new folder stays for as long as nginx may yet read it; it is pruned after a later reload.
    """
    if old is not None:
        activate(layout, old)
        with suppress(OSError):
            os.kill(master, signal.SIGHUP)


def _group(master: int) -> Callable[[int], bool]:
    """Return a test for the processes of a gateway: `bartizan run` gives nginx a process group of its own."""
    try:
        group = os.getpgid(master)
    except ProcessLookupError:
        raise BartizanError("nginx has ended; the log of bartizan run says why") from None

    def of_the_gateway(pid: int) -> bool:
        try:
            return os.getpgid(pid) == group
        except ProcessLookupError:
            return True

    return of_the_gateway
