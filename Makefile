# Everything below works on a machine that has only make and Python 3.11 or later.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check docs bench lock format clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
EXTRAS := $(VENV)/.installed-extras
WHEELS := $(VENV)/.filled-wheels
AXE := $(VENV)/.installed-axe
DOCS := $(VENV)/.installed-docs
# Where to find a torch without CUDA on machines whose usual index has none: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# The first interpreter that is new enough; PYTHON=... on the command line overrides it.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3 python3.13 python3.12 python; do \
	if $$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$p; break; fi; done)

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(EXTRAS) $(WHEELS) $(AXE) ## make .venv with pinned packages, torch and all extras among them, and this project in it

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "votecast needs Python 3.11 or later, and none was found; install one or name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is not Python 3.11 or later; name another: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(PIP) install --requirement requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'import lightgbm' || { echo "LightGBM does not start: it needs the OpenMP library of the system; on Debian and Ubuntu: apt-get install libgomp1" >&2; exit 2; }
	@touch $@

# What the neural judges need, a gigabyte or more; neither the main job nor the demo asks for it.
$(EXTRAS): $(STAMP) requirements/extras.txt requirements/no-deps.txt
	$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --constraint requirements/dev.txt --requirement requirements/extras.txt
	$(PIP) install --no-deps --requirement requirements/no-deps.txt
	@touch $@

# Wheels that the tests of packs and images install from with the index switched off: the core, the service, hatchling.
$(WHEELS): $(STAMP)
	@rm -rf $(VENV)/wheels
	$(PIP) wheel --only-binary :all: --wheel-dir $(VENV)/wheels --constraint requirements/dev.txt --no-build-isolation '.[serve]' hatchling
	@rm -f $(VENV)/wheels/votecast-*
	@touch $@

# What the page of the service is checked with; its tests skip, and say so, where npm or a browser is absent.
$(AXE): $(STAMP)
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix $(VENV)/npm axe-core@4.14.1; else echo "npm is not there: the page is not checked for accessibility" >&2; fi
	@touch $@

# What builds the docs; make docs installs it on first use.
$(DOCS): $(EXTRAS) requirements/docs.txt
	$(PIP) install --constraint requirements/dev.txt --requirement requirements/docs.txt
	@touch $@

demo: $(STAMP) ## simulate an arena, train, predict, write a submission, compare two answers (into demo/)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh demo

# Files in their order: by number of tests, as is the default, the longest tests would come last and one worker wait.
test: $(EXTRAS) $(WHEELS) $(AXE) ## run all tests and doctests, with the network blocked
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(EXTRAS) ## lint, formatting, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS) ## build the documentation into site/, with every warning an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

bench: $(EXTRAS) ## run the benchmarks; VOTECAST_DATA=folder for those that need outside votes
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benchmarks/run_all.py

format: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## resolve requirements/dev.txt, extras.txt and docs.txt anew (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --no-emit-package votecast --no-annotate \
		--custom-compile-command "make lock" --output-file requirements/dev.txt pyproject.toml
	$(BIN)/python scripts/lock_extras.py $(TORCH)
	printf 'mkdocs-material>=9.6\nmkdocstrings[python]>=1.0\n' | uv pip compile --universal --python-version 3.11 --no-annotate \
		--constraint requirements/dev.txt --custom-compile-command "make lock" --output-file requirements/docs.txt -

clean: ## remove what make has made
	rm -rf $(VENV) demo site build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
