# Everything here works on a machine that has only Python 3.11+ and make. `make setup PYTHON=python3.13` picks another one.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
DURATION ?= 60
READY := .venv/.ready

.PHONY: help setup demo test test-long lint type format up down bench docs lock clean
.DEFAULT_GOAL := help

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

setup: $(READY) ## .venv with everything: locked and hashed requirements, all extras, dev tools

$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found: install one, or make setup PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: setup ## The whole pipeline on this machine: no Docker, no account, no network
	$(BIN)/tickhouse demo --duration $(DURATION)

test: setup ## Unit and integration tests
	$(BIN)/python -m pytest

test-long: setup ## What takes minutes each: the same acceptance at full size
	$(BIN)/python -m pytest -m long

lint: setup ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup ## Types
	$(BIN)/mypy

format: setup ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Comparisons as ratios, side by side in one run
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

up: ## The services the pipeline needs, in Docker
	docker compose up --build --detach --wait

down: ## Stop them
	docker compose down

docs: setup ## The page of settings, from the code that reads them
	$(BIN)/python -m tickhouse.settings_table > docs/settings.md

lock: ## After changing dependencies (needs Poetry 2 with poetry-plugin-export)
	poetry lock
	poetry export --format requirements.txt --output requirements.txt
	poetry export --format requirements.txt --all-extras --with dev --output requirements-dev.txt

clean: ## Forget the environment, not the data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
