# PushCluster: what a developer types. `make help` lists it.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
UV ?= uv
LOCK := $(UV) pip compile pyproject.toml \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.PHONY: help run test lint format bench images install.yaml lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# Where no Docker runs buildah does it, as root or not. BASE_IMAGE: another base with python3 and its venv module;
# REPOSITORY: what goes before /operator and /workload, such as registry.example/push; BUILD_FLAGS: more of the builder's.
REPOSITORY ?= pushcluster
images: ## build the operator's and the workloads' image with docker or buildah
	@if docker info > /dev/null 2>&1; then build="docker build --quiet"; \
	elif command -v buildah > /dev/null; then build="buildah bud --quiet --layers"; \
	else echo "make: images need a running Docker, or buildah: install one of them" >&2; exit 1; fi; \
	version=$$(awk -F '"' '/^version = / {print $$2; exit}' pyproject.toml); \
	for part in operator workload; do \
		image="$(REPOSITORY)/$$part:$$version"; echo "· building $$image with $${build%% *}"; \
		$$build --file Dockerfile.$$part --tag "$$image" --build-arg VERSION="$$version" \
			$(if $(BASE_IMAGE),--build-arg BASE_IMAGE="$(BASE_IMAGE)") $(BUILD_FLAGS) . > /dev/null || exit 1; \
	done

# VALUES: more of helm's, such as VALUES="--set imageRegistry=registry.example:5000/mirror". OUT: another file.
HELM ?= helm
OUT ?= install.yaml
install.yaml: ## the operator in one file for kubectl, made from the chart (needs helm)
	@command -v $(HELM) > /dev/null || { echo "make: install.yaml needs helm 3: install it, or name it with" \
		"make install.yaml HELM=/path/to/helm" >&2; exit 1; }
	@$(HELM) template push-operator charts/push-operator --namespace push-system --kube-version 1.30.0 --skip-tests \
		$(VALUES) > $(OUT).part || { rm -f $(OUT).part; exit 1; }
	@printf '%s\n' "# PushCluster's operator: kubectl apply --server-side -f install.yaml" "apiVersion: v1" \
		"kind: Namespace" "metadata:" "  name: push-system" \
		"  labels: {pod-security.kubernetes.io/enforce: restricted}" > $(OUT)
	@cat $(OUT).part >> $(OUT) && rm -f $(OUT).part

lock: ## resolve the dependencies anew (needs uv)
	@$(LOCK) --extra workloads --extra local --extra operator --group dev --upgrade --output-file requirements/dev.lock
	@$(LOCK) --extra workloads --extra local --group build --constraint requirements/dev.lock --output-file requirements/run.lock
	@$(LOCK) --extra workloads --constraint requirements/dev.lock --output-file requirements/workloads.lock
	@$(LOCK) --extra operator --constraint requirements/dev.lock --output-file requirements/operator.lock

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
