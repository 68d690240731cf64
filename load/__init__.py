"""Load on a gateway of its own: `python -m load.run`."""
