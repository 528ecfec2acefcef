# The project's verbs. Each makes its own environment; nothing is needed but Python >= 3.11 and make
# (for the tests also Docker, or a JDK >= 17 with Maven; Go for those of the Helm chart).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test style types bench golden release-schemas clean

demo: $(VENV)/.runtime
	$(BIN)/ccaas-bridge demo

test: $(VENV)/.development
	$(BIN)/python -m pytest

style: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.development
	$(BIN)/mypy

bench: $(VENV)/.development
	$(BIN)/python -m tests.bench

golden: $(VENV)/.development
	$(BIN)/python -m tests.chart

release-schemas:
	cp schemas/*.schema.json schemas/*.avsc tests/published/released/

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/.pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@
