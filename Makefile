# Everything there is to do with Tidegate from a checkout. `make` alone says what.
#
# Needs Python 3.11 or newer, git and make. Dependencies are pinned by hash and go into .venv; stamp files there say what has
# been installed, so that a second run starts at once. ARGS are passed on:  make run ARGS="--port 9000 --auth on"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test lint format bench conformance demo-tensorflow lock clean

VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
CONFORMANCE_STAMP := $(VENV)/.conformance-installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Tidegate itself: its dependencies and its build backend are locked and there already.
INSTALL_SELF := $(PIP_INSTALL) --no-deps --no-build-isolation --editable .

# Candidates for the environment's interpreter, best first; PYTHON=... names the one to take.
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python)
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

UV_VERSION := 0.13.8

help:
	@echo 'make run          start a server on 127.0.0.1:8080          (ARGS: flags of tidegate serve)'
	@echo 'make test         run the tests                             (ARGS: arguments of pytest)'
	@echo 'make lint         style, types, imports, generated code'
	@echo 'make format       put the code into the one format'
	@echo 'make bench        measure against rclone serve s3           (ARGS: arguments of benchmarks)'
	@echo 'make conformance  run ceph/s3-tests                         (S3_TESTS: a checkout of it)'
	@echo 'make demo-tensorflow  train on data in a bucket, with TensorFlow'
	@echo 'make lock         resolve the dependencies anew and pin them'
	@echo 'make clean        remove the environment and all caches'

run: $(RUN_STAMP)
	@$(BIN)/tidegate serve $(ARGS)

test: $(DEV_STAMP)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/generate_operations.py --check

format: $(DEV_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

conformance: $(CONFORMANCE_STAMP)
	@test -n "$(S3_TESTS)" || { echo 'make conformance S3_TESTS=DIR: DIR is a checkout of ceph/s3-tests' >&2; exit 2; }
	@$(BIN)/python conformance/ceph-s3-tests/run.py "$(S3_TESTS)" $(ARGS)

# In an environment of its own: TensorFlow is large, and wants older packages than everything else.
demo-tensorflow: $(RUN_STAMP)
	@test -x .venv-tensorflow/bin/python || $(BIN)/python -m venv .venv-tensorflow
	@echo 'Installing TensorFlow into .venv-tensorflow'
	@.venv-tensorflow/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement demos/tensorflow/requirements.txt
	@$(BIN)/python demos/tensorflow/run.py .venv-tensorflow/bin/python

$(BIN)/python:
	@for python in $(PYTHONS); do \
		if "$$python" -c '$(USABLE)' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$python" --version)"; \
			exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo 'Tidegate needs Python 3.11 or newer, with its venv module (Debian, Ubuntu: apt-get install python3-venv).' >&2; \
	echo 'Looked for: $(PYTHONS). Say where it is with PYTHON=/path/to/python3.' >&2; \
	exit 1

$(RUN_STAMP): requirements/run.txt pyproject.toml | $(BIN)/python
	@echo 'Installing what Tidegate needs into $(VENV)'
	@$(PIP_INSTALL) --require-hashes --requirement requirements/run.txt
	@$(INSTALL_SELF)
	@touch $@

$(DEV_STAMP): requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo 'Installing what work on Tidegate needs into $(VENV)'
	@$(PIP_INSTALL) --require-hashes --requirement requirements/dev.txt
	@$(INSTALL_SELF)
	@touch $(RUN_STAMP) $@

$(CONFORMANCE_STAMP): conformance/ceph-s3-tests/requirements.txt $(DEV_STAMP)
	@echo 'Installing what ceph/s3-tests needs into $(VENV)'
	@$(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

# One resolution for every platform and Python from 3.11 on. Hashes of all files of a version, and no address of an index.
# What is pinned stays unless ARGS says otherwise:  make lock ARGS=--upgrade
lock: | $(BIN)/python
	@test -x .venv-lock/bin/uv || $(BIN)/python -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@for name in requirements/run requirements/dev conformance/ceph-s3-tests/requirements demos/tensorflow/requirements; do \
		.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(ARGS) \
			$$name.in --output-file $$name.txt || exit 1; \
	done

clean:
	rm -rf $(VENV) .venv-lock .venv-tensorflow .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests tools benchmarks conformance -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
