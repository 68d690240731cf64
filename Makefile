# One entry point a job. `make help` lists them; CI calls the same targets that a person calls.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: help setup run token test faults conformance lint load bench docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-12s %s\n' "$$t" "$$d"; done

setup: $(VENV)/.installed ## Install what is missing: Debian packages, and a .venv from the lock file

# The stamp makes a second start take no time; a changed lock, package list or pyproject makes it stale.
$(VENV)/.installed: requirements/development.txt openresty/debian-packages.txt pyproject.toml
	@openresty/install-packages
	@test -x $(BIN)/python || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the locked Python packages (a minute or two, the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/development.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## Start token service, example service and gateway in the foreground (Ctrl-C stops all)
	@$(BIN)/bartizan check gateway.yaml --ports-free --also 5100 --also 5200
	@$(BIN)/tokendealer init --demo
	@$(BIN)/upstream init
	@PYTHONUNBUFFERED=1 exec $(BIN)/honcho start

token: ## Print an access token for the demo client, nothing else
	@$(BIN)/tokendealer token --url https://localhost:8443 --ca var/tls/ca.pem

# Two processes for two cores; the tests of one file share its fixtures, so they stay together.
# What needs public data, and minutes of it, is a part of conformance.
test: setup ## Run every test: unit, functional, integration, end to end
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not corpora"

# One test after the other, so that no load disturbs another. PYTEST="-k reload" takes some of them.
faults: setup ## Run the tests of faults for long (half an hour); figures in build/reports/faults.json
	@FAULTS=long $(BIN)/python -m pytest -v tests/faults $(PYTEST)

# The tests lie beside the checkout (CORPORA), or in a checkout of the Core Rule Set (CRS=path). ONLY=942100 takes some.
conformance: setup ## Run the Core Rule Set's own tests against the gateway; build/reports/conformance.json
	@$(BIN)/python -m tests.conformance --only "$(ONLY)"
	@test -n "$(ONLY)" || $(BIN)/python -m pytest -n 2 -m corpora tests/functional/waf tests/e2e/test_exploits.py tests/unit/bartizan/rules/test_tree.py

lint: setup ## Run every check that reads the sources, the rendered nginx.conf and the dependencies
	@$(BIN)/python -m tests.lint

load: setup ## Run locust against a gateway of its own for SECONDS (default 30); report in build/reports/load.html
	@$(BIN)/python -m load.run --seconds $${SECONDS_OF_LOAD:-30}

# A peer that can't be installed is left out, by name.
bench: setup ## Measure the gateway beside its peers (ONLY=token,proxy for some); build/reports/bench.{json,png}
	@openresty/install-packages bench || true
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/bench.txt || true
	@$(BIN)/python -m load.bench --only "$(ONLY)"

docs: setup ## Write what docs/ has from the sources (the policy reference)
	@$(BIN)/python -m tests.docs

# What ships is constrained to the releases that the tests ran with.
lock: setup ## Renew requirements/*.txt to the newest releases that the bounds admit
	@$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header requirements/development.in -o requirements/development.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements/runtime.in -c requirements/development.txt -o requirements/runtime.txt
	@$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header requirements/bench.in -c requirements/development.txt -o requirements/bench.txt

clean: ## Remove what was built and what ran (not the .venv)
	@rm -rf build dist var .pytest_cache .mypy_cache .ruff_cache .hypothesis
