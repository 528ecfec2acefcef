# The project's verbs. Each makes its own environment; nothing is needed but Python >= 3.11 and make
# (for the tests also Docker, or a JDK >= 17 with Maven; test-tools needs Redis, nginx, Go, npm, kcat, Chromium, promtool).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUPPLY := $(VENV)/supply/bin
# Else each of the hundreds of processes that tests start would compile the bridge anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-tools style types bench mutate golden release-schemas lock sbom vulnerabilities licences clean

demo: $(VENV)/.runtime
	$(BIN)/ccaas-bridge demo

test: $(VENV)/.development
	$(BIN)/python -m pytest --numprocesses auto -m "not tools"

test-tools: $(VENV)/.development $(VENV)/.genesys
	$(BIN)/python -m pytest --numprocesses auto -m tools

style: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.development
	$(BIN)/mypy

bench: $(VENV)/.development
	$(BIN)/python -m tests.bench

# Which changes of the core no unit test notices; a quarter of an hour. What is left is explained in docs/developing.md.
mutate: $(VENV)/.development
	$(BIN)/python -m pip install --quiet --group mutation
	$(BIN)/mutmut run
	$(BIN)/mutmut results

golden: $(VENV)/.development
	$(BIN)/python -m tests.chart

release-schemas:
	cp schemas/*.schema.json schemas/*.avsc tests/published/released/

# The supply chain: what the image is made of, and what is known of it.
UV_LOCK := $(SUPPLY)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

lock: $(VENV)/.supply
	$(UV_LOCK) pyproject.toml --extra otel --output-file requirements.lock
	$(UV_LOCK) --group build --output-file requirements-build.lock

sbom: $(VENV)/.locked $(VENV)/.supply
	$(SUPPLY)/cyclonedx-py environment $(VENV)/locked --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --output-file sbom.cdx.json

vulnerabilities: $(VENV)/.supply
	$(SUPPLY)/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip

licences: $(VENV)/.locked $(VENV)/.supply
	$(SUPPLY)/pip-licenses --python $(VENV)/locked/bin/python --order license --format markdown \
	  --fail-on 'GNU General Public License;GNU Affero General Public License' --partial-match

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

$(VENV)/.supply: pyproject.toml | $(VENV)/.pip
	$(PYTHON) -m venv --without-pip $(VENV)/supply
	$(BIN)/python -m pip --python $(SUPPLY)/python install --quiet --group supply
	@touch $@

# Genesys's own SDK, for the test that holds the simulator against it.
$(VENV)/.genesys: pyproject.toml | $(VENV)/.pip
	$(PYTHON) -m venv --without-pip $(VENV)/genesys
	$(BIN)/python -m pip --python $(VENV)/genesys/bin/python install --quiet --group genesys
	@touch $@

# The locked dependencies alone, as in the image.
$(VENV)/.locked: requirements.lock | $(VENV)/.pip
	$(PYTHON) -m venv --clear --without-pip $(VENV)/locked
	$(BIN)/python -m pip --python $(VENV)/locked/bin/python install --quiet --require-hashes -r requirements.lock
	@touch $@
