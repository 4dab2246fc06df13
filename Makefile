# Tenfold's targets. `make` alone lists them; ARGS="..." is handed to the command behind a target.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BENCH ?= benchmarks/loader.py benchmarks/train_step.py benchmarks/decode.py

BIN := $(VENV)/bin
# --no-compile: half of pip's time would go into byte code for modules that nobody imports; Python makes the rest as it goes.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock
LOCKED := requirements.lock pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## train a small model on Python's own library and show what it learned (ARGS="--minutes 1")
	$(BIN)/tenfold demo $(ARGS)

test: $(VENV)/.dev ## the test suite (ARGS="-k tokens")
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal $(ARGS)

lint: $(VENV)/.dev ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

bench: $(VENV)/.base .venv-peers/.done ## Tenfold beside its peers (BENCH=benchmarks/decode.py for one of them)
	@for script in $(BENCH); do echo "== $$script" && PEERS_PYTHON=.venv-peers/bin/python $(BIN)/python $$script $(ARGS) || exit 1; done

lock: $(VENV)/.dev ## resolve the dependencies anew into requirements.lock
	$(INSTALL) uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra dev --extra docs --upgrade \
	  --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean: ## remove what was installed and built; runs/ stays
	rm -rf .venv* site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tenfold needs Python 3.11 or newer, and $(PYTHON) is not one. Name one that is: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "$(PYTHON) could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.base: $(VENV)/pyvenv.cfg $(LOCKED)
	@echo "Installing Tenfold into $(VENV) (once; about a minute) ..."
	@$(INSTALL) --editable . && touch $@

$(VENV)/.dev: $(VENV)/pyvenv.cfg $(LOCKED)
	@echo "Installing Tenfold and its development tools into $(VENV) (once; about a minute) ..."
	@$(INSTALL) --editable '.[dev,docs]' && touch $@ $(VENV)/.base

.venv-peers/.done: benchmarks/peers.txt
	@echo "Installing what Tenfold is measured against into .venv-peers (once; torch is large) ..."
	@$(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $< && touch $@
