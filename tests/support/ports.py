"""Free ports, each given out once on this machine, whatever number of test runs goes on at the same time."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

# Below the kernel's range for outgoing connections, which would take a port before it is listened on.
RANGE: Final = range(20000, 32000)

_held: dict[int, IO[str]] = {}
_random = random.SystemRandom()  # not the generator that pytest-randomly seeds alike in every process


def free_port() -> int:
    """Return a port on which nothing listens, kept from all other test processes until this one ends."""
    folder = Path(tempfile.gettempdir(), f"bartizan-test-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    for port in _random.sample(RANGE, len(RANGE)):
        lock = (folder / str(port)).open("w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if port not in _held and _is_free(port):
            _held[port] = lock
            return port
        lock.close()
    raise RuntimeError(f"no free port from {RANGE.start} to {RANGE.stop}")


def _is_free(port: int) -> bool:
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listener.bind((host, port))
            except OSError:
                return False
    return True
