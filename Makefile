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

.PHONY: help setup python tools demo test test-all test-long lint type format up up-simulated down compose-check vulnerabilities bench performance docs docs-tools settings screenshots sql aws costs generated lock peers clean
.DEFAULT_GOAL := help

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

setup: python ## .venv with everything: locked and hashed requirements, all extras, dev tools
	@$(SET_UP) dev

python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.14 found: install one, or make setup PYTHON=/path/to/python"; exit 2; }

demo: python ## The whole pipeline on this machine: no Docker, no account, no network. Installs only what it needs
	@$(SET_UP) demo
	$(BIN)/tickhouse demo --duration $(DURATION)

test: setup ## Unit tests and the heart of the integration tests: less than 5 minutes on 2 cores
	$(PYTEST) -m "not slow and not stack and not long"

test-all: setup ## Every test at CI size, whole programs (LocalStack, browser, emulator, demo) too: less than 20 minutes
	$(PYTEST) -m "not long"

test-long: setup ## What takes minutes each: the same acceptance at full size
	$(BIN)/python -m pytest -m long

lint: setup ## Style, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

type: setup ## Types
	$(BIN)/mypy

format: setup ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Comparisons as ratios, side by side in one run: 15 minutes; figures as JSON in build/bench
	mkdir -p build/bench
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file --json build/bench/$$(basename $$file .py).json || exit 1; done

performance: setup ## The tables of docs/performance.md, from what `make bench` wrote
	$(BIN)/python benchmarks/write_tables.py docs/performance.md build/bench/*.json

up: ## The whole pipeline in Docker, recording the live exchange: docker compose up --build
	docker compose up --build --detach
	@docker compose --profile mirror up --detach mirror || echo "the mirror to Pub/Sub is not there; everything else is"
	@docker compose --profile console up --detach minio || echo "the console on port 9001 is not there; everything else is"

up-simulated: ## The same on a simulated exchange, without internet, with volumes of its own
	CLICKHOUSE_CONTAINER=clickhouse-simulated docker compose --project-name tickhouse-simulated --profile simulated up --build --detach
	@docker compose --project-name tickhouse-simulated --profile simulated --profile mirror up --detach mirror || \
		echo "the mirror to Pub/Sub is not there; everything else is"
	@docker compose --project-name tickhouse-simulated --profile simulated --profile console up --detach minio || \
		echo "the console on port 9001 is not there; everything else is"

down: ## Stop them; the data stays in the volumes
	docker compose --profile "*" down
	docker compose --project-name tickhouse-simulated --profile "*" down

compose-check: ## Proof of the Docker stack, from nothing: up, restarts, kill -9, down and up; needs no internet
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found"; exit 2; }
	$(PYTHON) -m integration_tests.compose.check

vulnerabilities: tools ## Known ones in the image's locked requirements (asks PyPI; a package nobody can judge counts as a failure)
	.venv-tools/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt

screenshots: setup ## docs/images: the status page after a recording of the simulated exchange; needs Chromium
	$(BIN)/python tools/screenshots.py

settings: setup ## docs/settings.md, from the code that reads them
	$(BIN)/python -m tickhouse.settings_table > docs/settings.md

docs: settings docs-tools ## The site of the documents, in site/; a dead link or anchor is an error
	$(BIN)/python tools/make_site.py

docs-tools: python
	@$(SET_UP) docs

sql: setup ## The views whose statements differ in names and numbers only
	$(BIN)/python tools/make_sql.py

aws: setup ## The parts of the AWS template that follow from the catalogue of datasets
	$(BIN)/python tools/make_aws.py

costs: setup ## The tables of costs in docs/scaling.md, from resources/aws/costs.yaml
	$(BIN)/python tools/make_costs.py

generated: settings sql aws costs ## Everything that is written from the code

lock: tools ## After changing dependencies: poetry.lock, and the requirement files from it
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

peers: ## The tools that `tickhouse export` writes for, for their tests: .venv-peers, 1.5 GB, Python 3.12 to 3.14
	@for python in $(PEERS_PYTHON); do $$python -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 15))' 2>/dev/null && \
		exec $$python tools/set_up.py peers; done; echo "error: NautilusTrader needs Python 3.12 to 3.14: make peers PEERS_PYTHON=/path/to/python"; exit 2

clean: ## Forget the environment, not the data
	rm -rf .venv .venv-tools .venv-peers .venv-docs .site site .mypy_cache .ruff_cache .pytest_cache
