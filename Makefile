# make demo          run the pipeline on the embedded sample, from the images to the diagnosis
# make test          formatter, linter, types, layers, tests
# make coverage      the tests again, counting which lines and branches they run: 96 % at least
# make test-browser  test the pages of report and review in a real browser; needs Chromium
# make test-cluster  run stages on a Ray cluster of this machine, and end nodes and runs in the middle
# make test-storage  share a run through a DVC remote on a real S3 server on this machine
# make fuzz          feed damaged pictures, tables, params and model files for ten minutes
# make generated     write the generated files: DVC's files, docs/reference.md, the map in docs/code.md
# make format        fix what the formatter and the linter can fix
# Each sets up .venv by itself; nothing outside this folder changes.

SHELL := /bin/sh
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11 python
BIN := $(CURDIR)/.venv/bin
# Stages are run as `python -m pipeline`, by the python of this environment.
export PATH := $(BIN):$(PATH)

.PHONY: demo fuzz generated test test-browser test-cluster test-storage lint types layers tests coverage format
.DEFAULT_GOAL := test

demo: .venv/ready
	dvc repro
	@echo
	@pipeline summary

generated: .venv/ready
	python -m docs.generate

test: lint types layers tests
	@echo "Not run: make test-browser (real browser), test-cluster (Ray), test-storage (DVC remote on S3)"

test-browser: .venv/ready
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[browser,dev]'
	pytest -m browser tests/browser

test-cluster: .venv/ready
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[ray,dev]'
	pytest -n 0 -m cluster tests/cluster

test-storage: .venv/ready
	pytest -m storage tests/test_dvc_s3.py

MINUTES := 10
fuzz: .venv/ready
	python -m tests.fuzz.fuzz_decoder --minutes $$(( ($(MINUTES) + 2) / 3 ))
	python -m tests.fuzz.fuzz_tables --minutes $$(( ($(MINUTES) + 2) / 3 ))
	python -m tests.fuzz.fuzz_params --minutes $$(( ($(MINUTES) + 2) / 3 ))

lint: .venv/ready
	ruff format --check --quiet .
	ruff check --quiet .

types: .venv/ready
	mypy --no-error-summary

layers: .venv/ready
	lint-imports --no-logo > .venv/layers.log || { cat .venv/layers.log; exit 1; }

# A file's tests stay together, as they share what was made for them; files come in the order of tests/conftest.py.
SPREAD := --numprocesses auto --dist loadscope --no-loadscope-reorder

tests: .venv/ready
	pytest $(SPREAD)

coverage: .venv/ready
	coverage erase
	coverage run -m pytest $(SPREAD)
	@find . -maxdepth 1 -name '.coverage.*' -empty -delete  # of processes that tests killed
	coverage combine --quiet
	coverage report

format: .venv/ready
	ruff format .
	ruff check --fix .

.venv/ready: pyproject.toml constraints.txt
	@"$(BIN)/python" -m pip --version > /dev/null 2>&1 || for python in $(CANDIDATES); do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then \
			echo "Setting up .venv with $$($$python --version): about 2 GB, a few minutes"; \
			rm -rf .venv && $$python -m venv .venv && break; \
		fi; \
	done
	@test -x "$(BIN)/python" || { \
		echo "error: found no Python 3.11 or newer with its venv module; name one: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	}
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	@touch $@
