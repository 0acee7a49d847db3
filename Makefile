# Everything here works on a machine that has Python 3.11 and make; uv is used where it is present.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
UV := $(shell command -v uv 2>/dev/null)

# The first interpreter that runs and that TensorFlow supports; `make PYTHON=...` names another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' \
	2>/dev/null && command -v $$name && break; done)

# What pip and uv are told alike: both distributions, editable, at the versions of constraints.txt.
INSTALL := --quiet --constraint constraints.txt --editable ./runtime --editable '.[dev,pretrained,tune]'

BENCHMARKS := overhead startup pipeline live_page live_stream cameras deploy_kill browser apk convert training zoo_accuracy

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install demo test test-host test-devices test-full-size check format bench constraints clean distclean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

install: $(STAMP) ## Make .venv, or bring it up to date

$(STAMP): pyproject.toml runtime/pyproject.toml runtime/mejiro_runtime/_version.py constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Mejiro needs Python 3.10 to 3.13, and none was found; install python3.11, or name one: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
		echo "Mejiro needs Python 3.10 to 3.13, found `$(PYTHON) --version 2>&1`; name another: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	}
ifdef UV
	@echo "Installing into $(VENV) with uv and $$($(PYTHON) --version); the first time takes some minutes."
	@$(BIN)/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --seed --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	@$(UV) pip install --python $(BIN)/python $(INSTALL)
else
	@echo "Installing into $(VENV) with pip and $$($(PYTHON) --version); the first time takes some minutes."
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu run: apt-get install python3-venv" >&2; \
		exit 1; \
	}
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check $(INSTALL)
endif
	@touch $@

demo: $(STAMP) ## Take a pretrained model all the way; the report lands in mejiro-demo/
	@$(BIN)/mejiro demo

test: test-devices test-host ## Run every test: the runtime's in its own environments, then the host's

test-devices: $(STAMP) ## Run the runtime's tests with each engine and Python in .nox/
	@echo "Testing the runtime in environments of its own; the first time installs them."
	@$(BIN)/nox $(if $(DEVICES),--session $(DEVICES))

test-host: $(STAMP) ## Run the tests in .venv
	@$(BIN)/pytest -q -n auto $(PYTEST_ARGS)

test-full-size: $(STAMP) ## Take every row of the zoo all the way at full size: hours, and 16 GB
	@$(BIN)/pytest -q -p no:randomly -m full_size -o faulthandler_timeout=7200 $(PYTEST_ARGS)

check: $(STAMP) ## Lint, check formatting and types, and the borders between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

format: $(STAMP) ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Measure every claim on this machine; results land in benchmarks/results/
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	@$(BIN)/python benchmarks/summary.py

constraints: ## Write constraints.txt anew from the newest versions that fit (needs uv)
	@[ -n "$(UV)" ] || { echo "make constraints needs uv; install it with: pip install uv" >&2; exit 1; }
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(UV) pip compile --quiet --upgrade --universal --python-version 3.10 --all-extras \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-package mejiro-runtime pyproject.toml >> constraints.new \
		|| { rm -f constraints.new; exit 1; }
	@mv constraints.new constraints.txt

clean: ## Remove what building, testing and the demo wrote
	@rm -rf mejiro-demo dist build runtime/dist runtime/build .mypy_cache .ruff_cache runtime/.ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.nox/*' -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	@rm -rf $(VENV) .nox
