"""The gateway and its peers side by side, in one run: `make bench`, described in docs/bench.md."""
