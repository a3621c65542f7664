# `make lab` opens the notebooks, `make test` runs every check. Both do all the set-up they need.
PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 8888
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TESTED := $(VENV)/.ready-test

.PHONY: lab test check lint browser benchmark clean help

help:           ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/  /'

lab: $(READY)   ## open the notebooks in JupyterLab:  make lab PORT=9000 ARGS=--no-browser
	$(BIN)/resnet-explore lab --here --port $(PORT) $(ARGS)

test: $(TESTED) browser lint  ## install everything, then run the whole suite:  make test ARGS="-k capture"
	$(BIN)/python -m pytest $(ARGS)

lint: $(TESTED) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: $(TESTED)
	$(BIN)/python tests/install_browser.py

benchmark: $(TESTED)  ## the speed ratios that the README quotes
	$(BIN)/python -m benchmarks

clean:          ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(TESTED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(READY)
