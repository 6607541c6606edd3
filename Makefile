# Dynatrail. `make help` lists the targets; everything is made in this folder and nothing outside of it is touched,
# but for Debian's chromium, which the browser test installs where it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE ?= hardlink

.DEFAULT_GOAL := help
.PHONY: help setup run ui test check lint types test-fast test-slow bench-ingest bench-snapshots bench-streams bench-integrity bench-attribution bench-privacy kill-streams docs secrets lock lock-check format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.ready .venv-sandbox/.ready ## A local AWS account, 14 days of work in it, the DAGs over it, and what came out
	@$(BIN)/python -m dynatrail demo

ui: $(VENV)/.ready .venv-sandbox/.ready ## Airflow's page on this machine, with the local AWS account working behind it
	@$(BIN)/python -m dynatrail ui

test: check test-slow ## Everything: lint, types, lock, fast tests, then servers, DAG runs, kills and the browser

check: lint types lock-check test-fast ## What a commit must pass

setup: $(VENV)/.dev .venv-sandbox/.ready .venv-awscli/.ready ## Make the virtual environments

lint: $(VENV)/.dev ## Ruff
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

test-fast: $(VENV)/.dev ## Tests that start nothing
	$(BIN)/pytest -q -n 2 -m "not slow and not browser"

test-slow: setup ## Tests that run DAGs, servers, many processes or a browser
	$(BIN)/pytest -q -n 2 --dist loadgroup --no-loadscope-reorder -m "slow or browser" --durations 15

bench-ingest: $(VENV)/.dev ## Records per second and memory for 1,000,000 records, beside libdeflate + orjson
	$(BIN)/python benchmarks/ingest.py --records 1000000

bench-snapshots: $(VENV)/.dev ## Requests per second, time and memory of a look at the configuration of 1,000 tables
	$(BIN)/python benchmarks/snapshots.py --tables 1000

bench-streams: $(VENV)/.dev ## The same for 100,000 stream records, beside boto3 alone
	$(BIN)/python benchmarks/streams.py --records 100000

bench-integrity: setup ## What verification sees beside aws-cli, false alarms of 200 clean histories, and what it costs
	$(BIN)/python benchmarks/integrity.py

bench-attribution: $(VENV)/.dev ## How often the request behind a change is found and how sure that is; up to 4,000,000 changes timed
	$(BIN)/python benchmarks/attribution.py

bench-privacy: $(VENV)/.dev ## How well discovery tells sensitive attributes from others; 1,000,000 values timed
	$(BIN)/python benchmarks/privacy.py

kill-streams: $(VENV)/.dev ## Kill reading streams at 50 seeded moments: no change lost, none doubled
	DYNATRAIL_KILLS=50 $(BIN)/pytest -q tests/sources/streams/test_kills.py

docs: $(VENV)/.dev ## Write the reference pages that are generated from the code
	$(BIN)/python -m dynatrail.docs

format: $(VENV)/.dev ## Bring the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev ## Compile the hashed requirements anew from the short lists
	requirements/compile --upgrade

lock-check: $(VENV)/.dev ## Fail when a lock does not fit its list
	requirements/compile --check

secrets: $(VENV)/.ready ## Make the secret files that docker-compose.yaml mounts, once
	$(BIN)/python -m dynatrail.local.team_secrets secrets

clean: ## Remove the sandbox's account, the warehouse and everything else that runs have made
	rm -rf .state

$(VENV)/bin/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Dynatrail needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.ready: $(VENV)/bin/uv requirements.txt pyproject.toml
	$(BIN)/uv pip install -q --python $(VENV) --require-hashes -r requirements.txt
	$(BIN)/uv pip install -q --python $(VENV) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.ready requirements/dev.txt
	$(BIN)/uv pip install -q --python $(VENV) --require-hashes -r requirements/dev.txt
	@touch $@

.venv-%/.ready: requirements/%.txt $(VENV)/bin/uv
	$(PYTHON) -m venv $(@D)
	$(BIN)/uv pip install -q --python $(@D) --require-hashes -r $<
	@touch $@
