# Each target does its own set-up: on Debian 12 with Python 3.11 nothing has to be done before.
SHELL := /bin/bash
VENV := .venv
CONFIG ?= runner-bridge.yaml
PYTHON ?= python3
export PYTHON

.PHONY: help serve test check demo bench

help:
	@echo 'make serve   write $(CONFIG) if there is none, and serve'
	@echo 'make demo    a cold and a warm pull on this machine alone, shown step by step'
	@echo 'make test    all tests, with the real container clients that are here or can be installed'
	@echo 'make check   lint, format, types, and which module may import which'
	@echo 'make bench   measure beside other caches'

serve: $(VENV)/.installed-proxy
	@$(VENV)/bin/runner-bridge init --config $(CONFIG)
	@exec $(VENV)/bin/runner-bridge serve --config $(CONFIG)

demo: $(VENV)/.installed-proxy
	@$(VENV)/bin/runner-bridge demo

# ARGS: more arguments for pytest, e.g. make test ARGS='-k settings'
test: $(VENV)/.installed-dev
	ci/install-clients.sh
	$(VENV)/bin/pytest -n 2 $(ARGS)

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# ARGS: see ci/bench/README.md
bench: $(VENV)/.installed-dev
	ci/install-clients.sh
	$(VENV)/bin/python -m ci.bench $(ARGS)

# The stamp is remade when pyproject.toml changes.
$(VENV)/.installed-%: pyproject.toml ci/prepare-venv.sh
	@ci/prepare-venv.sh $(VENV) $*
	@touch $@
