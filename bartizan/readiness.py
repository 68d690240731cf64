"""Asking a running gateway whether it is ready, and with which policy."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Final

from bartizan.policy import Operator

PAUSE: Final = 0.05


def serving_generation(operator: Operator) -> str | None:
    """Return the generation that the gateway says it is ready with, or None where it is not ready."""
    connection = HTTPConnection(operator.host, operator.port, timeout=2)
    try:
        # The operator's listener closes after each answer: a kept connection would stay with an old worker.
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(65536)
        if response.status != 200:
            return None
        generation = json.loads(body).get("generation")
    except (OSError, HTTPException, ValueError, AttributeError):
        return None
    finally:
        connection.close()
    return generation if isinstance(generation, str) else None


def wait_until_ready(
    operator: Operator, generation: str, seconds: float, pause: Callable[[float], bool] | None = None
) -> bool:
    """Wait until the gateway serves a generation.

    Args:
        operator: where it is asked.
        generation: the id to wait for.
        seconds: for how long, at most.
        pause: sleeps that long between two questions, and says whether to go on; None for a plain sleep.

    Returns:
        Whether it serves it.
    """
    deadline = time.monotonic() + seconds
    while serving_generation(operator) != generation:
        if time.monotonic() > deadline:
            return False
        if pause is None:
            time.sleep(PAUSE)
        elif not pause(PAUSE):
            return False
    return True
