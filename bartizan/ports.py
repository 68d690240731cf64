"""Whether the gateway's ports are free, and who holds those that are not."""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bartizan.policy import Policy

LISTEN = "0A"  # the state of a listening socket in /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port."""

    pid: int
    name: str


def busy(
    policy: Policy, ours: Callable[[int], bool] | None = None, *, also: Iterable[int] = ()
) -> Iterator[str]:
    """Yield a sentence for each address of a policy that can't be listened on.

    Args:
        policy: names the addresses.
        also: further ports of 127.0.0.1, for what is started beside the gateway.
        ours: says of a process whether it is part of the gateway that is reloaded, and so may hold them.
            A holder that this user may not see is taken for ours then.
    """
    seen: set[tuple[str, int]] = set()
    beside = (("", "127.0.0.1", port) for port in also)
    for name, host, port in chain(_addresses(policy), beside):
        problem = _problem(host, port)
        if problem is None:
            continue
        holders = find_holders(port) if problem == errno.EADDRINUSE else ()
        if problem == errno.EADDRINUSE and ours is not None and all(ours(holder.pid) for holder in holders):
            continue
        if (name, port) not in seen:
            seen.add((name, port))
            yield _sentence(name, host, port, problem, holders)


def _addresses(policy: Policy) -> Iterator[tuple[str, str, int]]:
    for name in ("https", "http"):
        listener = getattr(policy.listen, name)
        if listener is not None:
            for host in policy.listen.addresses:
                yield name, host, listener.port
    yield "operator", policy.listen.operator.host, policy.listen.operator.port


def _problem(host: str, port: int) -> int | None:
    """Return the error number of listening on an address, as nginx would, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
    except OSError as error:
        return error.errno
    return None


def _sentence(name: str, host: str, port: int, problem: int, holders: tuple[Holder, ...]) -> str:
    where = f"port {port} (listen.{name})" if name else f"port {port}"
    if problem == errno.EADDRINUSE:
        # A server and its workers hold it together: the eldest of a name is the one to stop.
        eldest = {holder.name: holder for holder in reversed(holders)}
        by = ", ".join(f"{holder.name} (process {holder.pid})" for holder in eldest.values())
        return f"{where} is taken{' by ' + by if by else ''}; stop what listens there, or choose another port"
    if problem == errno.EACCES:
        return (
            f"{where} is not for this user; run as root, with CAP_NET_BIND_SERVICE, or choose one from 1024"
        )
    if problem == errno.EADDRNOTAVAIL:
        return f"{where}: {host} is no address of this machine; name its own in listen.addresses"
    return f"{where} can't be listened on at {host}: {os.strerror(problem).lower()}"


def find_holders(port: int) -> tuple[Holder, ...]:
    """Return the processes that listen on a port, as far as this user may see them."""
    inodes = set(_listening_inodes(port))
    wanted = {f"socket:[{inode}]" for inode in inodes}
    holders: dict[int, Holder] = {}
    for process in Path("/proc").iterdir() if wanted else ():
        if not process.name.isdigit():
            continue
        # A process may end while it is looked at, and those of others can't be looked into.
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in wanted:
                    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                    holders[int(process.name)] = Holder(int(process.name), name)
                    break
    return tuple(holders[pid] for pid in sorted(holders))


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = re.split(r"\s+", line.strip())
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
