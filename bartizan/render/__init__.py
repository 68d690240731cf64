"""From a policy to what nginx and the edge read: nginx.conf, edge.json and address ranges."""

import os
from pathlib import Path

from bartizan.errors import BartizanError
from bartizan.layout import Layout
from bartizan.policy import Policy, resolve
from bartizan.render.classes import classify, front_of
from bartizan.render.configuration import configuration
from bartizan.render.settings import settings
from bartizan.render.writing import RenderError

__all__ = ["render"]


def render(policy: Policy, layout: Layout, generation_dir: Path) -> None:
    """Write a generation.

    Args:
        policy: what is to be served.
        layout: where everything lies.
        generation_dir: an existing folder for this generation; its name is the generation's id.

    Raises:
        BartizanError: the policy can't be rendered; the message says why.
    """
    routes = resolve(policy)
    classes = classify(routes)
    front = front_of(routes)
    try:
        conf = configuration(policy, layout, generation_dir, tuple(classes), front)
        edge = settings(policy, layout, generation_dir, routes, classes, front)
    except RenderError as error:
        raise BartizanError(str(error)) from error
    # nginx's master reads both, as whoever started it; workers need neither.
    _write(generation_dir / "nginx.conf", conf)
    _write(generation_dir / "edge.json", edge)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
