# Everything here works on a machine that has only Python 3.11+ and make. `make setup PYTHON=python3.13` picks another one,
# `INSTALLER=pip` does without uv.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
POETRY := .venv-tools/bin/poetry
EXPORT := $(POETRY) export --format requirements.txt --output
DURATION ?= 60
# Many tests wait for a process, a second or a server: one more than cores.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --durations 10
PEERS_PYTHON ?= python3 python3.14 python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/*/bin/python3.1[234])
# Images of containers set it. Every one of several hundred processes would compile all that it imports, a second each.
unexport PYTHONDONTWRITEBYTECODE
SET_UP = $(PYTHON) tools/set_up.py $(if $(filter command environment,$(origin PYTHON)),--this-python) \
	$(if $(INSTALLER),--installer $(INSTALLER))

.PHONY: help setup python tools demo test test-all test-long lint type format up up-simulated down compose-check vulnerabilities bench performance docs docs-tools settings screenshots sql aws costs generated lock peers spark clean
.DEFAULT_GOAL := help

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

setup: python ## Make .venv: locked and hashed requirements, all extras, dev tools
	@$(SET_UP) dev

python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.14 found: install one, or make setup PYTHON=/path/to/python"; exit 2; }

demo: python ## Run the whole pipeline on this machine: no Docker, no account, no network; installs only what it needs
	@$(SET_UP) demo
	$(BIN)/tickhouse demo --duration $(DURATION)

test: setup ## Run unit tests and the heart of the integration tests: less than 5 minutes on 2 cores
	$(PYTEST) -m "not slow and not stack and not long"

test-all: setup ## Run every test at CI size, with LocalStack, browser, emulator and demo: about 45 minutes on 2 cores
	$(PYTEST) -m "not long"

test-long: setup ## Run the acceptance tests at full size: minutes each
	$(BIN)/python -m pytest -m long

lint: setup ## Check style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

type: setup ## Check types
	$(BIN)/mypy

format: setup ## Correct the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Run the benchmarks, 15 minutes; figures as JSON in build/bench
	mkdir -p build/bench
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file --json build/bench/$$(basename $$file .py).json || exit 1; done

performance: setup ## Write the tables of docs/performance.md from the figures of `make bench`
	$(BIN)/python benchmarks/write_tables.py docs/performance.md build/bench/*.json

up: ## Start the whole pipeline in Docker, recording the live exchange: docker compose up --build
	docker compose up --build --detach
	@docker compose --profile mirror up --detach mirror || echo "the mirror to Pub/Sub is not there; everything else is"
	@docker compose --profile console up --detach minio || echo "the console on port 9001 is not there; everything else is"

up-simulated: ## Start it with a simulated exchange, without internet, with volumes of its own
	CLICKHOUSE_CONTAINER=clickhouse-simulated docker compose --project-name tickhouse-simulated --profile simulated up --build --detach
	@docker compose --project-name tickhouse-simulated --profile simulated --profile mirror up --detach mirror || \
		echo "the mirror to Pub/Sub is not there; everything else is"
	@docker compose --project-name tickhouse-simulated --profile simulated --profile console up --detach minio || \
		echo "the console on port 9001 is not there; everything else is"

down: ## Stop both; the data stays in the volumes
	docker compose --profile "*" down
	docker compose --project-name tickhouse-simulated --profile "*" down

compose-check: ## Test the Docker stack from nothing: up, restarts, kill -9, down and up; needs no internet
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found"; exit 2; }
	$(PYTHON) -m integration_tests.compose.check

vulnerabilities: tools ## Check the image's locked requirements for known vulnerabilities at PyPI; an unknown package is a failure
	.venv-tools/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt

screenshots: setup ## Write docs/images: the status page after a recording of the simulated exchange; needs Chromium
	$(BIN)/python tools/screenshots.py

settings: setup ## Write docs/settings.md and resources/docker/venues.yml from the code that reads the settings
	$(BIN)/python -m tickhouse.settings_table > docs/settings.md
	$(BIN)/python tools/make_venue_variables.py

docs: settings docs-tools ## Build the site of the documents in site/; a dead link or anchor is an error
	$(BIN)/python tools/make_site.py

docs-tools: python
	@$(SET_UP) docs

sql: setup ## Write the views whose statements differ in names and numbers only
	$(BIN)/python tools/make_sql.py

aws: setup ## Write the parts of the AWS template that follow from the catalogue of datasets
	$(BIN)/python tools/make_aws.py

costs: setup ## Write the tables of costs in docs/scaling.md, from resources/aws/costs.yaml
	$(BIN)/python tools/make_costs.py

generated: settings sql aws costs ## Write everything that follows from the code

lock: tools ## Write poetry.lock and the requirement files, after a change of dependencies
	$(POETRY) lock
	$(EXPORT) requirements.txt --extras exchange
	$(EXPORT) requirements-demo.txt --extras embedded --with build
	$(EXPORT) requirements-dev.txt --all-extras --with dev,build
	$(EXPORT) requirements-build.txt --only build
	$(EXPORT) requirements-uv.txt --only uv
	$(EXPORT) requirements-tools.txt --only tools
	$(EXPORT) requirements-docs.txt --only docs

tools: python
	@$(SET_UP) tools

peers: ## Make .venv-peers, 1.5 GB: the tools that `tickhouse export` writes for, for tests; Python 3.12 to 3.14
	@for python in $(PEERS_PYTHON); do $$python -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 15))' 2>/dev/null && \
		exec $$python tools/set_up.py peers; done; echo "error: NautilusTrader needs Python 3.12 to 3.14: make peers PEERS_PYTHON=/path/to/python"; exit 2

spark: python ## Make .venv-spark, 0.5 GB: Spark with Iceberg's runtime, for tests; needs Java 17 to run
	@$(SET_UP) spark

clean: ## Delete the environments, not the data
	rm -rf .venv .venv-tools .venv-peers .venv-spark .venv-docs .site site .mypy_cache .ruff_cache .pytest_cache
