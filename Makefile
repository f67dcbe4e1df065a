# `make help` lists the targets. Any Python from 3.10 on will do: `make demo PYTHON=python3.12`.
PYTHON ?= python3
VENV ?= .venv
# Processes that share the tests; each takes one thread and up to 2 GB.
WORKERS ?= 2
BIN := $(VENV)/bin

SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Of pip's talk only the lines that take time.
PIP_INSTALL = $(BIN)/python -m pip install --progress-bar off
SHORTER = awk '/Downloading .* MB\)/ { print "  " $$2, $$3, $$4 } /^Installing collected/ { print "  installing" } { fflush() }'

.PHONY: help demo test slow lint wheel docs notebooks pictures clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp ## Reconstruct a free photo by each method; writes demo.png and demo-whole.png.
	@$(BIN)/inverso demo -o demo.png

test: lint ## Lint, check types and run the tests.
	@$(BIN)/python -c 'from inverso.browser import find_runtime; find_runtime()' 2>/dev/null || \
		echo "ONNX Runtime Web could not be fetched by npm: the tests of the page in a browser will be skipped"
	@# In the order of the folders: the files with few tests are those that take long, and are not to come last.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.dev-stamp ## Run the tests that take long, most of them in a browser or of trainings.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev-stamp ## Check style, import directions and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/mypy tests/typed
	MYPYPATH=src:benchmarks $(BIN)/mypy benchmarks/*.py
	$(BIN)/basedpyright --pythonpath $(BIN)/python

wheel: $(VENV)/.dev-stamp ## Build the wheel, and see that it installs and works by itself.
	$(BIN)/python .ci/wheel.py

docs: $(VENV)/.docs-stamp ## Build the site in docs/_build/html; INVERSO_FAST=1 takes fewer steps in the notebooks.
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

notebooks: $(VENV)/.notebooks-stamp ## Open the notebooks in a browser.
	$(BIN)/jupyter lab examples/first_reconstruction.ipynb

pictures: $(VENV)/.dev-stamp ## Draw the README's picture and run the notebooks anew, after a change of weights or defaults.
	$(BIN)/inverso demo -o docs/images/demo.png
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False examples/*.ipynb

clean: ## Remove what was built; the virtual environment stays.
	rm -rf build dist docs/_build docs/_live docs/api/generated docs/examples docs/jupyter_execute demo.png demo-whole.png
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("inverso needs Python 3.10 or later, this is " + sys.version.split()[0] + "; try make $(MAKECMDGOALS) PYTHON=python3.12")'
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made; Debian and Ubuntu need: apt install python3-venv" >&2; exit 1; }

$(VENV)/.stamp: pyproject.toml | $(BIN)/pip
	@echo "Installing inverso into $(VENV) (once; PyTorch is a large download)"
	@set -o pipefail; $(PIP_INSTALL) -e . | $(SHORTER)
	@touch $@

$(VENV)/.dev-stamp: pyproject.toml | $(BIN)/pip
	@echo "Installing inverso and its development tools into $(VENV) (once; PyTorch is a large download)"
	@set -o pipefail; $(PIP_INSTALL) -e '.[dev]' | $(SHORTER)
	@touch $(VENV)/.stamp $@

$(VENV)/.docs-stamp: pyproject.toml | $(BIN)/pip
	@echo "Installing inverso and the documentation tools into $(VENV) (once; PyTorch is a large download)"
	@set -o pipefail; $(PIP_INSTALL) -e '.[docs]' | $(SHORTER)
	@touch $(VENV)/.stamp $@

$(VENV)/.notebooks-stamp: pyproject.toml | $(BIN)/pip
	@echo "Installing inverso and JupyterLab into $(VENV) (once; PyTorch is a large download)"
	@set -o pipefail; $(PIP_INSTALL) -e '.[notebooks]' | $(SHORTER)
	@touch $(VENV)/.stamp $@
