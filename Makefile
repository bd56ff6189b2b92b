# The commands of this project; `make` alone lists them. What they need first, .ci/setup and .ci/parts see to.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
.NOTPARALLEL:
.PHONY: help run test setup lint fmt audit bench chaos boards dev parts
# What the caller's shell may hold for another Python or another make.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV MAKEFLAGS MFLAGS

# Narrows `make test`, `make bench` and `make chaos`: make test ARGS="tests/db -k seal"
ARGS ?=
PYTHON := .venv/bin/python

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## Start everything on http://127.0.0.1:8501 (HOST=..., PORT=... for another address)
	@.ci/setup --port
	@exec $(PYTHON) app.py

test: dev parts lint ## Lint, types, import walls and every test; ARGS="tests/db -k seal" narrows the tests
	@exec $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

setup: ## Make .venv and install what running needs
	@.ci/setup

lint: dev ## Format, lint, types and import walls, without changing anything
	@$(PYTHON) -m ruff format --quiet --check . || { echo "Not formatted as agreed. Type: make fmt" >&2; exit 1; }
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@.ci/board-types
	@.ci/walls
	@PYTHONWARNINGS=ignore $(PYTHON) -m deptry --no-ansi .
	@$(PYTHON) -m vulture

fmt: dev ## Format, and mend what lint can mend by itself
	@$(PYTHON) -m ruff check --quiet --fix-only .
	@$(PYTHON) -m ruff format .

audit: dev ## Look for known weaknesses in the pinned packages (asks the network; fails if it cannot look)
	@$(PYTHON) -m pip_audit --strict -r requirements.txt

bench: dev parts ## Benchmarks, as ratios against a baseline
	@[ -e benchmarks/__main__.py ] || { echo "There are no benchmarks yet." >&2; exit 1; }
	@exec $(PYTHON) -m benchmarks $(ARGS)

chaos: dev parts ## The fault tests at full size
	@compgen -G 'tests/chaos/test_*.py' >/dev/null || { echo "There are no fault tests yet." >&2; exit 1; }
	@.ci/parts --chaos
	@HYPOTHESIS_PROFILE=default $(PYTHON) -m pytest -q -n auto --maxprocesses 4 tests/ingest/unit tests/db
	@exec $(PYTHON) -m pytest tests/chaos $(ARGS)

boards: dev ## The boards' firmware on this computer; the LED follows the Control page of a `make run` beside it
	@exec $(PYTHON) -m firmware boards $(ARGS)

dev:
	@.ci/setup --dev

parts:
	@.ci/parts
