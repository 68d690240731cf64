"""Lua modules that fail, put before those of the product, where nothing from outside brings one to fail."""

import os
import signal

from tests.support.gateway import Gateway, wait_for


def load_instead(gateway: Gateway, module: str, text: str) -> None:
    """Have new workers load another module than the product's, such as bartizan.guards.rate."""
    file = (gateway.state / "broken").joinpath(*module.split(".")).with_suffix(".lua")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    configuration = gateway.state / "edge" / "current" / "nginx.conf"
    rendered = configuration.read_text()
    broken = rendered.replace('lua_package_path "', f'lua_package_path "{gateway.state}/broken/?.lua;')
    assert broken != rendered
    configuration.write_text(broken)
    old = gateway.worker_pids()
    os.kill(gateway.master, signal.SIGHUP)
    wait_for(lambda: len(gateway.worker_pids()) == len(old) and not set(gateway.worker_pids()) & set(old))
