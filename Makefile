# Developer tasks, one verb each. `make demo` needs a Python and nothing else; the others set up what they need under
# .venvs/, and again only when pyproject.toml changed. PYTHONS="3.12" narrows test and bench, TESTFLAGS="-k wire" goes to
# pytest, BENCHFLAGS="2 --quick" to the benchmark.
.SUFFIXES:

TESTFLAGS =
BENCHFLAGS =
# Of the tests that run side by side. One more than there are processors, since a test of daemons waits a good deal.
WORKERS = $(eval WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 ))))$(WORKERS)
# The CPythons to test, oldest first. Asked when used: `make test` may have to install one.
VERSIONS = $(eval VERSIONS := $(shell PYTHONS="$(PYTHONS)" .ci/pythons))$(VERSIONS)
OLDEST = $(firstword $(VERSIONS) none)
PAGES = $(wildcard man/*.[1-9])
SHIPPED = pyproject.toml $(shell find agentkeys shell hooks man -type f ! -name '*.pyc' 2>/dev/null)

.PHONY: help
help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: .venv-demo/installed ## two owners, two values of one name, real daemons
	@PATH="$(CURDIR)/.venv-demo/bin:$$PATH" sh demo/demo.sh

.PHONY: test
test: ## every test, on each CPython from 3.11 to 3.13 that is here
	@.ci/install-debian
	@$(MAKE) --no-print-directory tested

# Of mandoc's findings one is dropped: that another manual isn't installed here is no fault of a page.
.PHONY: lint
lint: .venvs/lint/installed ## style, types, import contracts, shell scripts, man pages
	@.ci/install-debian
	.venvs/lint/bin/ruff check --quiet
	.venvs/lint/bin/ruff format --check --quiet
	.venvs/lint/bin/mypy --no-error-summary --platform linux
	.venvs/lint/bin/mypy --no-error-summary --platform darwin
	.venvs/lint/bin/lint-imports --no-logo
	git ls-files -z -co --exclude-standard | xargs -0 awk 'FNR > 1 {nextfile} \
		FILENAME ~ /\.(ba)?sh$$/ || /^#! ?\/(usr\/)?bin\/(env )?(ba|da|k)?sh( |$$)/ {print FILENAME}' | xargs shellcheck
	test -z "$(PAGES)" || mandoc -Wall -Tlint $(PAGES) 2>/dev/null | awk '!/referenced manual not found/ \
		{print; bad = 1} END {exit bad}'

.PHONY: bench
bench: ## the budgets, on each CPython that is here, from a wheel, beside other programs
	@.ci/install-debian
	@$(MAKE) --no-print-directory measured

.PHONY: measured
measured: .venvs/$(OLDEST)/installed $(VERSIONS:%=.venvs/bench-%/installed)
	@failed=; for version in $(VERSIONS); do \
		echo "== CPython $$version"; \
		AGENTKEYS_BENCH_VENV="$(CURDIR)/.venvs/bench-$$version" .venvs/$(OLDEST)/bin/python -m tests.bench $(BENCHFLAGS) \
			|| failed="$$failed $$version"; \
	done; test -z "$$failed" || { echo "over budget on CPython$$failed" >&2; exit 1; }

.PHONY: soak
soak: .venvs/$(OLDEST)/fuzz ## the tests that run for many minutes; TESTFLAGS='--soak-seconds 60' for a first look
	.venvs/$(OLDEST)/bin/python -m pytest -m soak $(TESTFLAGS)

.PHONY: clean
clean: ## remove what the others made
	rm -rf .venv-demo .venvs build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf /var/tmp/ak-public-$$(id -u)-*
	find agentkeys tests -name __pycache__ -exec rm -rf {} +

# --- what the verbs stand on -----------------------------------------------------------------------------------

.PHONY: venvs
venvs: $(VERSIONS:%=.venvs/%/installed) .venvs/age-vectors/installed
	@:

# First all but the serial tests, side by side; then those, alone. pytest's 5 is "no such test", which is no failure.
.PHONY: tested
tested:
	@test $(OLDEST) != none || { echo 'no CPython 3.11 to 3.13 with venv here' >&2; exit 1; }
	@$(MAKE) --no-print-directory --jobs=2 venvs
	@failed=; for version in $(VERSIONS); do \
		echo "== CPython $$version"; \
		pytest=".venvs/$$version/bin/python -m pytest -q"; \
		$$pytest -n $(WORKERS) -m 'not serial and not bench and not soak' $(TESTFLAGS) || failed="$$failed $$version"; \
		$$pytest -m 'serial and not bench and not soak' $(TESTFLAGS) || test $$? -eq 5 || failed="$$failed $$version"; \
	done; test -z "$$failed" || { echo "failed on CPython$$failed" >&2; exit 1; }

# pip is upgraded first: the console scripts that 24.2 writes import re, 6 ms at each start.
.venvs/%/installed: pyproject.toml
	@echo "making .venvs/$*"
	@$$(.ci/pythons $*) -m venv --clear .venvs/$*
	@.venvs/$*/bin/python -m pip install --quiet --upgrade pip
	@.venvs/$*/bin/python -m pip install --quiet --editable . --group test
	@touch $@

.venvs/%/fuzz: .venvs/%/installed
	@.venvs/$*/bin/python -m pip install --quiet --group fuzz
	@touch $@

.venvs/lint/installed: pyproject.toml
	@echo "making .venvs/lint"
	@$$(.ci/pythons $(OLDEST)) -m venv --clear .venvs/lint
	@.venvs/lint/bin/python -m pip install --quiet --upgrade pip
	@.venvs/lint/bin/python -m pip install --quiet --editable . --group lint
	@touch $@

# Test data, as its authors publish it: the lock file holds its hash, and npm runs no script of it.
.venvs/age-vectors/installed: tests/vectors/age/package.json tests/vectors/age/package-lock.json
	@echo "making .venvs/age-vectors"
	@mkdir -p .venvs/age-vectors
	@cp tests/vectors/age/package.json tests/vectors/age/package-lock.json .venvs/age-vectors/
	@if command -v npm >/dev/null; then \
		cd .venvs/age-vectors && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null && touch installed; \
	else echo "no npm here: the published age vectors aren't tested" >&2; fi

.venvs/bench-%/installed: $(SHIPPED)
	@echo "making .venvs/bench-$*"
	@$$(.ci/pythons $*) -m venv --clear .venvs/bench-$*
	@.venvs/bench-$*/bin/python -m pip install --quiet --upgrade pip
	@.venvs/bench-$*/bin/python -m pip wheel --quiet --no-deps --wheel-dir .venvs/bench-$*/wheel .
	@.venvs/bench-$*/bin/python -m pip install --quiet .venvs/bench-$*/wheel/*.whl
	@touch $@

.venv-demo/installed: $(SHIPPED)
	@for python in python3 python3.13 python3.12 python3.11; do \
		$$python -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11)' 2>/dev/null \
			&& exec $$python -m venv --clear .venv-demo; \
	done; echo 'no Python 3.11 or newer with venv here (on Debian: apt install python3-venv)' >&2; exit 1
	@.venv-demo/bin/python -m pip install --quiet --upgrade pip
	@.venv-demo/bin/python -m pip install --quiet .
	@touch $@
