# The only entry points, for people and CI alike. Needed: make, git and Python 3.11 or later; everything else is
# installed into .venvs on first use, from the versions in uv.lock.

PYTHON ?= python3
VENVS := .venvs
UV := $(VENVS)/tools/bin/uv
CORE := $(VENVS)/core
AIRFLOW_2 := $(VENVS)/airflow-2
AIRFLOW_3 := $(VENVS)/airflow-3
MUTANTS := $(VENVS)/mutants
# Airflow 2.11 runs on Python up to 3.12; where the machine's is newer, uv finds or fetches one that fits.
PYTHON_2 := $(shell $(PYTHON) -c "import sys; print(sys.executable if sys.version_info < (3, 13) else '>=3.11,<3.13')")
# What runs a test suite: Python, or coverage.py.
RUN := bin/python
PYTEST = $(RUN) -m pytest -q
# Most tests wait most of the time; three processes keep two cores busy. What a file's tests share is made once.
AT_ONCE := -n 3 --dist loadfile

# What a shell happens to set must not decide how Airflow or the tests behave.
unexport AIRFLOW_HOME PYTHONPATH VIRTUAL_ENV
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo soak test quick-row suites core-suite airflow-2-suite airflow-3-suite check docs coverage mutants fuzz stories accidents kills containers matrix lint picture bench clean environments lock help

help: ## Say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready ## Two real Airflow instances coordinate through a registry (REGISTRY_URL=..., KEEP=1)
	@$(AIRFLOW_3)/bin/python -m demo

test: ## All tests, in every environment; they need a Chromium and a PgBouncer, which root gets on Debian
	$(MAKE) --jobs 3 environments
	$(MAKE) --jobs 2 --output-sync lint quick-row
	$(MAKE) suites
	PATH="$(abspath $(CORE))/bin:$$PATH" $(AIRFLOW_3)/$(PYTEST) tests/system

quick-row: $(CORE)/.ready
	$(CORE)/bin/python -m testbed.matrix --quick 3.0

suites:
	$(MAKE) core-suite
	$(MAKE) --jobs 2 --output-sync airflow-2-suite airflow-3-suite AT_ONCE="-n 2 --dist loadfile"

# The longest files first, so that no worker is left alone with one at the end.
core-suite: $(CORE)/.ready $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready
	$(CORE)/bin/python -m testbed.browser
	$(CORE)/bin/python -m testbed.pgbouncer
	$(CORE)/$(PYTEST) $(AT_ONCE) tests/races tests/pages tests/contract tests/service tests/cli tests/package tests/unit

airflow-2-suite: $(AIRFLOW_2)/.ready
	$(AIRFLOW_2)/$(PYTEST) $(AT_ONCE) tests/contract tests/cli/verification tests/airflow --ignore tests/contract/test_http.py --ignore tests/contract/test_balanced.py --ignore tests/contract/test_pgbouncer.py --ignore tests/contract/test_waiting_crowds.py

airflow-3-suite: $(AIRFLOW_3)/.ready
	$(AIRFLOW_3)/$(PYTEST) $(AT_ONCE) tests/airflow tests/site

check: $(CORE)/.ready lint ## The everyday subset, under three minutes
	$(CORE)/$(PYTEST) $(AT_ONCE) tests/unit tests/cli tests/contract -m "not postgres" --ignore tests/cli/job --ignore tests/contract/test_http.py

coverage: environments ## Which lines and branches of the package the tests run; fails below the floor in pyproject.toml
	rm -f .coverage .coverage.*
	$(MAKE) suites RUN="bin/coverage run"
	$(CORE)/bin/coverage combine --quiet
	$(CORE)/bin/coverage report

mutants: $(MUTANTS)/.ready ## Spoil the rules in every small way, and see which of it the unit tests do not notice
	rm -rf mutants
	$(MUTANTS)/bin/mutmut run
	$(MUTANTS)/bin/mutmut results

docs: $(AIRFLOW_3)/.ready ## The documentation as a site that can be read offline: docs/_build/index.html
	$(AIRFLOW_3)/bin/sphinx-build --fail-on-warning --keep-going --fresh-env --quiet docs docs/_build

fuzz: $(CORE)/.ready ## More than 20,000 generated requests to the web service, some minutes
	HYPOTHESIS_PROFILE=nightly $(CORE)/$(PYTEST) tests/service/test_fuzz.py -s --timeout 3600

stories: $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready ## 2,000 whole runs of random DAGs with random accidents, in both Airflows, an hour or more
	HYPOTHESIS_PROFILE=nightly $(AIRFLOW_2)/$(PYTEST) tests/airflow/stories --timeout 14400
	HYPOTHESIS_PROFILE=nightly $(AIRFLOW_3)/$(PYTEST) tests/airflow/stories --timeout 14400

accidents: $(CORE)/.ready $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready ## All accidents, on real Airflow instances while a reader asks, some minutes
	ACCIDENTS=all $(AIRFLOW_3)/$(PYTEST) tests/system/accidents

kills: $(CORE)/.ready ## kill -9 of a worker, the service and PostgreSQL under load, a hundred in all, some minutes
	$(CORE)/$(PYTEST) tests/service/test_kills.py -s --kills 100 --timeout 7200

events: $(CORE)/.ready $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready ## A thousand days start a run each, through kills, restarts and edits, half an hour
	PATH="$(abspath $(CORE))/bin:$$PATH" $(AIRFLOW_3)/$(PYTEST) tests/system/test_event_runs.py --publications 1000

soak: $(CORE)/.ready $(AIRFLOW_3)/.ready ## Half an hour of everything at once, while everything is broken once (MINUTES=3 for a short one)
	PATH="$(abspath $(CORE))/bin:$$PATH" $(AIRFLOW_3)/bin/python -m soak $(if $(MINUTES),--minutes $(MINUTES))

containers: $(CORE)/.ready ## The images and all Compose files for real, without Docker; as root, with stand-ins for the official images
	$(CORE)/bin/python -m testbed.containers

matrix: $(CORE)/.ready ## Every supported Airflow and Python, with packages of its time and today's (ROWS="3.0 3.1-today"), an hour
	$(CORE)/bin/python -m testbed.matrix $(ROWS)

lint: $(AIRFLOW_3)/.ready ## Style, types, which module may import which, and the containers' files
	$(AIRFLOW_3)/bin/ruff check
	$(AIRFLOW_3)/bin/ruff format --check
	$(AIRFLOW_3)/bin/mypy
	$(AIRFLOW_3)/bin/basedpyright --level error --pythonpath $(AIRFLOW_3)/bin/python tests/typing
	$(AIRFLOW_3)/bin/lint-imports --no-cache
	$(AIRFLOW_3)/bin/python -m tools.architecture --check
	$(AIRFLOW_3)/bin/hadolint docker/Dockerfile docker/airflow.Dockerfile
	$(AIRFLOW_3)/bin/shellcheck docker/entrypoint.sh testbed/containers/standins/*.sh
	$(AIRFLOW_3)/bin/yamllint --strict --config-file docker/yamllint.yaml docker
	$(AIRFLOW_3)/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose*.yaml

picture: $(AIRFLOW_3)/.ready ## Draw the picture of the architecture anew
	$(AIRFLOW_3)/bin/python -m tools.architecture

bench: $(CORE)/.ready $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready ## Figures against a floor, ten minutes
	$(AIRFLOW_3)/bin/python -m testbed.pgbouncer
	PATH="$(abspath $(CORE))/bin:$$PATH" $(AIRFLOW_3)/bin/python -m benchmarks $(LARGE)

clean: ## Remove everything that was installed or written
	rm -rf $(VENVS) .containers .coverage .coverage.* .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .soak dist mutants docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(UV) ## Resolve the dependencies anew
	$(UV) lock --upgrade

environments: $(CORE)/.ready $(AIRFLOW_2)/.ready $(AIRFLOW_3)/.ready

$(UV):
	$(PYTHON) -m venv $(VENVS)/tools
	$(VENVS)/tools/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"

# The package is installed here without its dependency Airflow.
$(CORE)/.ready: uv.lock pyproject.toml | $(UV)
	UV_PROJECT_ENVIRONMENT=$(CORE) $(UV) sync --quiet --frozen --python $(PYTHON) --only-group core --only-group service \
		--only-group test --only-group service-test
	$(UV) pip install --quiet --python $(CORE)/bin/python --no-deps --editable .
	@touch $@

$(AIRFLOW_2)/.ready: uv.lock pyproject.toml | $(UV)
	UV_PROJECT_ENVIRONMENT=$(AIRFLOW_2) $(UV) sync --quiet --frozen --python "$(PYTHON_2)" --group airflow-2
	@touch $@

$(AIRFLOW_3)/.ready: uv.lock pyproject.toml | $(UV)
	UV_PROJECT_ENVIRONMENT=$(AIRFLOW_3) $(UV) sync --quiet --frozen --python $(PYTHON) --group airflow-3
	@touch $@

$(MUTANTS)/.ready: uv.lock pyproject.toml | $(UV)
	UV_PROJECT_ENVIRONMENT=$(MUTANTS) $(UV) sync --quiet --frozen --python $(PYTHON) --only-group core --only-group test --only-group mutants
	@touch $@
