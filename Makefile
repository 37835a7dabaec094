# Every target works on a bare checkout that has Python and make: the first one makes .venv.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# The optional dependencies, by default those of the targets asked for: deriving and training need none.
# Two are large: bench, and witnesses, for tests/test_witnesses.py, which no target asks for.
comma := ,
empty :=
space := $(empty) $(empty)
EXTRAS ?= $(if $(filter test check,$(MAKECMDGOALS)),test) $(if $(filter types check,$(MAKECMDGOALS)),lint) \
  $(filter bench,$(MAKECMDGOALS))
PIP := $(RUN) -m pip --disable-pip-version-check --no-input install -qq --no-compile -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup derive train bench test check lint types fresh pdf clean FORCE

help:
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r target text; do printf 'make %-8s %s\n' "$$target" "$$text"; done

setup: $(READY) ## make .venv with the pinned packages (every target below does so by itself)

derive: $(READY) ## derive every cell into generated/ (one: CELL=linear; unrolled further: STEPS=5)
	$(strip $(RUN) -m derive $(if $(STEPS),--steps $(STEPS)) $(CELL))

train: $(READY) ## train a generated network (CELL=linear unless said; options: ARGS="...")
	$(strip $(RUN) -m generated.train $(or $(CELL),linear) $(ARGS))

bench: $(READY) ## time the networks and their peers into BENCHMARKS.md (a part: ARGS="--cells linear --quick")
	$(strip $(RUN) -m benchmarks $(ARGS))

pdf: $(READY) ## compile the derivations to PDF with the TeX on this machine (one: CELL=linear)
	$(strip $(RUN) -m derive --pdf $(CELL))

test: $(READY) ## run the tests (some: ARGS="-k linear")
	$(strip $(RUN) -m pytest $(ARGS))

check: lint types test fresh ## all that must hold before a commit: the tests and the next three

lint: $(READY) ## ruff: style and format
	$(RUN) -m ruff check benchmarks derive generated tests
	$(RUN) -m ruff format --check benchmarks derive generated tests

types: $(READY) ## mypy: type hints
	$(RUN) -m mypy

fresh: $(READY) ## generated/ holds exactly what the cells derive to
	$(RUN) -m derive --check

clean: ## remove .venv, caches and what git ignores in generated/
	rm -rf $(VENV) build dist derive.egg-info generated/assets
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(wildcard benchmarks derive generated tests) -name __pycache__ -prune -exec rm -rf {} +
	rm -f $(addprefix generated/*/derivation.,pdf aux fdb_latexmk fls log out synctex.gz toc xdv)
	rm -f generated/*/figures/*.pdf

# The stamp's date cannot tell that .venv's interpreter has gone (a system upgrade), nor that
# PYTHON now names another version: ask both. The stamp holds the extras that were installed;
# they stay, and those that are missing are added.
minor := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
have := $(shell $(RUN) $(minor) 2>/dev/null)
want := $(if $(filter file,$(origin PYTHON)),$(have),$(shell $(PYTHON) $(minor) 2>/dev/null))
rebuild := $(if $(and $(have),$(filter $(have),$(want))),,FORCE)
installed := $(if $(rebuild),,$(subst $(comma), ,$(shell cat $(READY) 2>/dev/null)))
extras := $(sort $(installed) $(subst $(comma), ,$(EXTRAS)))
extend := $(if $(filter-out $(installed),$(extras)),FORCE)

# The stamp goes first and comes back last: an interrupted run leaves none, and the next run
# starts with an empty .venv. setuptools comes before the rest so that the build uses the pinned one.
# Compiling comes last, on all processors and without the packages' own tests: a quarter of the time that pip takes.
$(READY): pyproject.toml constraints.txt $(rebuild) $(extend)
	@$(PYTHON) -c '' 2>/dev/null || { echo "derive needs Python 3.11 or newer, and '$(PYTHON)'" \
	  "does not run: install it (Debian: apt install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "derive needs" \
	  "Python 3.11 or newer, and '$(PYTHON)' is older: install a newer one and name it," \
	  "as in: PYTHON=python3.12 make" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "derive needs Python's venv" \
	  "module, and '$(PYTHON)' has none: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(if $(rebuild),rm -f $@)
	@if test -e $@; then echo "Updating $(VENV) …"; \
	else echo "Setting up $(VENV) (once, about half a minute) …"; $(PYTHON) -m venv --clear $(VENV); fi
	@rm -f $@
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation -e '.$(if $(extras),[$(subst $(space),$(comma),$(extras))])'
	@$(RUN) -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true
	@echo '$(extras)' > $@
