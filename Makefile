# make run    everything, on this machine, with no account anywhere
# make test   the tests (PYTEST_ARGS='-k outbox' chooses)
# make chaos  500 promotions while workers die and Redis and GitHub fail (CHAOS_ARGS='--seed 7' replays one)
# make check  linters, types, contracts, templates, migrations, deployment settings
# make reset  forget the demo's data and start over

PYTHON_IN_VENV := .venv/bin/python
PYTEST_ARGS ?=
CHAOS_ARGS ?=
# Many tests wait for servers, so one process more than there are cores is busy.
PYTEST_WORKERS ?= $(shell python3 -c "import os; print(min(4, (os.cpu_count() or 1) + 1))" || echo 2)

.DEFAULT_GOAL := help
.PHONY: help run test chaos check reset
.NOTPARALLEL:

help:
	@sed -n 's/^# make/make/p' Makefile

run:
	@./setup.sh sandbox
	@$(PYTHON_IN_VENV) -m sandbox.run

test:
	@./setup.sh development
	@$(PYTHON_IN_VENV) -m pytest -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST_ARGS)

chaos:
	@./setup.sh development
	@$(PYTHON_IN_VENV) -m tests.chaos $(CHAOS_ARGS)

check:
	@./setup.sh development
	@./scripts/check.sh

reset:
	@if [ -d var ]; then ./setup.sh sandbox && $(PYTHON_IN_VENV) -m sandbox.run --reset; \
	else echo "There is no data yet."; fi
