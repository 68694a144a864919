# PushCluster: what a developer types. `make help` lists it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
UV ?= uv
LOCK := $(UV) pip compile pyproject.toml --extra workloads --extra local \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.PHONY: help run test lint format bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run-installed ## set up and run the whole platform here; Ctrl-C stops it
	@exec $(BIN)/push up examples/quickstart.yaml

test: lint ## linters, then every test
	@echo "· running the tests"
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev-installed ## style, types and the architecture's contracts
	@echo "· checking style, types and imports"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

format: $(VENV)/.dev-installed ## rewrite the code in the project's style
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

bench: $(VENV)/.dev-installed ## what a socket and a message cost, against a naive gateway
	@$(BIN)/python -m bench.gateway

lock: ## resolve the dependencies anew (needs uv)
	@$(LOCK) --group build --upgrade --output-file requirements/run.lock
	@$(LOCK) --extra operator --group dev --upgrade --output-file requirements/dev.lock

clean: ## remove what was installed and cached; the platform's data in .push stays
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Stamps: a second call has nothing to do until a lock or pyproject.toml changes.
$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON) on this machine: PushCluster needs Python" \
		"3.11 to 3.14; if it has another name: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null || { \
		echo "make: PushCluster needs Python 3.11 to 3.14, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1);" \
			"name another one with: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "· making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "make: this Python cannot make a venv; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.run-installed: requirements/run.lock pyproject.toml | $(VENV)/.python
	@echo "· installing the platform (about a minute the first time)"
	@$(PIP) install --require-hashes --requirement requirements/run.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.lock pyproject.toml | $(VENV)/.python
	@echo "· installing what tests and linters need (about two minutes the first time)"
	@$(PIP) install --require-hashes --requirement requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run-installed
