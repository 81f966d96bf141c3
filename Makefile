# The front door. Needs Python 3.10 to 3.13 with venv, and make; everything else lands in .venv and .cache.
PYTHON ?= python3
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
BIN := .venv/bin
ENVS := .cache/envs
NEWEST := $(ENVS)/newest-cdk
OLDEST := $(ENVS)/oldest-cdk
# The CDK of Airbyte 2.3; docs/builder.md names it.
OLDEST_CDK := 7.28.2
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate

.PHONY: help setup sync report report-test test test-all test-newest-cdk test-oldest-cdk coverage check metadata fix schemas components docs verify image image-test bench bench-spark fuzz lock release-check clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: .venv/ready ## create .venv from the locks

sync: $(ENVS)/sync/ready ## sync into amplitude.duckdb: your project, or an emulated one
	@$(ENVS)/sync/bin/python -m examples.sync

report: $(ENVS)/report/ready ## turn amplitude.duckdb into report.html
	@$(ENVS)/report/bin/python examples/report/report.py

report-test: $(ENVS)/report/ready ## test the report, in Chromium where it is installed
	cd examples/report && $(CURDIR)/$(ENVS)/report/bin/python -m pytest

test: setup ## run the tests that need nothing else, on all cores
	$(PYTEST)

test-all: setup $(ENVS)/sync/ready $(ENVS)/metadata/ready $(ENVS)/spark/ready report-test ## run every test: PyAirbyte, databases, Spark, a browser
	$(PYTEST) -m "not image_tests and not spark"
	$(BIN)/python -m pytest -m spark

test-newest-cdk: setup ## run the tests with the newest CDK, whatever pyproject.toml allows
	rm -rf $(NEWEST) && $(BIN)/uv venv --quiet --python $(BIN)/python $(NEWEST)
	$(BIN)/uv pip sync --quiet --python $(NEWEST)/bin/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python --upgrade 'airbyte-cdk[manifest-server]'
	$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python --no-deps --no-build-isolation --offline -e .
	$(NEWEST)/bin/python -m pytest --numprocesses=auto --dist=worksteal

test-oldest-cdk: setup ## run the standard tests of the manifest alone with the oldest CDK that docs/builder.md names
	rm -rf $(OLDEST) && $(BIN)/uv venv --quiet --python $(BIN)/python $(OLDEST)
	$(BIN)/uv pip sync --quiet --python $(OLDEST)/bin/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python 'airbyte-cdk==$(OLDEST_CDK)'
	$(OLDEST)/bin/python -m pytest acceptance_tests -k TestManifest

coverage: setup $(ENVS)/sync/ready $(ENVS)/metadata/ready ## list the lines that no test runs
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest --numprocesses=auto --dist=worksteal -m "not image_tests and not spark"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

check: setup metadata ## check style, format, types, manifest, metadata and documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.components --check
	$(BIN)/python -m tools.lint_manifest
	$(BIN)/python -m tools.docs --check

metadata: $(ENVS)/metadata/ready ## check metadata.yaml against the model of Airbyte's registry, on Python before 3.13
	@if [ -x $(ENVS)/metadata/bin/python ]; then $(ENVS)/metadata/bin/python -m tools.metadata; \
	else echo "metadata.yaml is not validated: airbyte-connector-models needs Python before 3.13."; fi

fix: setup ## fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: setup ## write source_amplitude/schemas into the manifest's last section
	$(BIN)/python -m tools.schemas

components: setup ## write the modules of source_amplitude/extensions into one file, components.py
	$(BIN)/python -m tools.components

docs: setup ## write what the code says into the documentation: streams, columns, options, commands
	$(BIN)/python -m tools.docs

verify: setup ## ask Amplitude what its documentation leaves open, and compare with the emulator
	@$(BIN)/python -m examples.verify

image: ## build the image, with docker or buildah
	$(PYTHON) -m image

image-test: setup ## test the image; measure its size and start-up
	$(BIN)/python -m image.verify

bench: setup ## measure speed and memory against the CDK's built-in components and a bare loop
	$(BIN)/python -m benchmarks.bench

bench-spark: setup $(ENVS)/spark/ready ## measure Spark with one and two executors against the connector alone
	@$(BIN)/python -m benchmarks.spark

fuzz: setup ## run the property-based tests, 3,000 examples each
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest unit_tests/export/test_decoder.py unit_tests/export/test_timelines.py

lock: setup ## re-lock the dependencies
	$(COMPILE) pyproject.toml --extra fast -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -o requirements/dev.txt
	$(COMPILE) --group sync -o requirements/sync.txt
	$(COMPILE) pyproject.toml --extra fast --extra spark --group spark -o requirements/spark.txt
	$(COMPILE) examples/report/pyproject.toml --group examples/report/pyproject.toml:test -o examples/report/requirements.txt
	echo 'airbyte-connector-models>=0.1.12' | $(COMPILE) - -o requirements/metadata.txt
	echo uv | $(COMPILE) - -o requirements/uv.txt
	echo hatchling | $(COMPILE) - -o requirements/build.txt

release-check: setup ## refuse a release whose name, version, changelog, metadata, image and pages disagree
	$(BIN)/python -m tools.release

clean: ## remove what make has created
	rm -rf .venv .cache .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis dist amplitude.duckdb* report.html
	find . -name __pycache__ -o -name .pytest_cache | xargs rm -rf

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	touch $@

# Environments for what would burden .venv.
environment = rm -rf $(@D) && $(BIN)/uv venv --quiet --python $(BIN)/python $(@D) && \
	$(BIN)/uv pip sync --quiet --python $(@D)/bin/python --require-hashes $<

$(ENVS)/sync/ready: requirements/sync.txt .venv/ready
	$(environment)
	touch $@

$(ENVS)/spark/ready: requirements/spark.txt .venv/ready
	$(environment)
	touch $@

$(ENVS)/report/ready: examples/report/requirements.txt .venv/ready
	$(environment)
	touch $@

# The model's package needs Python before 3.13.
$(ENVS)/metadata/ready: requirements/metadata.txt .venv/ready
	if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then $(environment); \
	else mkdir -p $(@D); fi
	touch $@
