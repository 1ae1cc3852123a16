# `make demo` and `make test` do all of their own set-up; see `make help`.

PYTHON ?= python3
VENV ?= .venv
# Any pip arguments that install PyTorch. The pinned release has a CPU build of 200 MB where the
# package index offers one; an open range would bring gigabytes of CUDA.
GPU := $(shell command -v nvidia-smi)
TORCH ?= $(if $(GPU),torch,torch==2.13.0)

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h') CMakeLists.txt setup.py

.PHONY: help venv demo test kernels lint types sanitized packaging bench clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

help:
	@echo 'make demo       set up, then train, certify and stress an adder; leaves runs/demo'
	@echo 'make test       set up, then run the whole test suite'
	@echo 'make venv       set up only: $(VENV) with PyTorch, the tools and arithtf, editable'
	@echo 'make kernels    install Triton, then test the kernels without a GPU'
	@echo 'make lint       ruff, and the order of the house: sizes, contract, imports'
	@echo 'make types      mypy'
	@echo 'make sanitized  the tests of the C++ core, and odd calls of it, under ASan and UBSan'
	@echo 'make packaging  sdist, wheel, editable and in-place installs from an empty folder'
	@echo 'make bench      benchmarks; prints them and writes rows under bench/results'
	@echo 'make clean      remove $(VENV), builds and caches (not runs/)'
	@echo
	@echo 'Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  TORCH="$(TORCH)"'

venv: $(VENV)/.installed

demo: $(VENV)/.installed
	$(VENV)/bin/arithtf demo

test: $(VENV)/.installed
	@$(PY) -m pytest

# After the suite, which runs without Triton: 290 MB more, and the kernels' tests, which it skipped.
kernels: $(VENV)/.installed
	$(PIP) install --no-deps 'triton>=3.6'
	@ARITHTF_SHARD=0/2 $(PY) -m pytest -p no:cacheprovider tests/kernels & half=$$!; \
	ARITHTF_SHARD=1/2 $(PY) -m pytest -p no:cacheprovider tests/kernels; other=$$?; \
	wait $$half && exit $$other

lint: $(VENV)/.tools
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(PY) tools/check_house.py

types: $(VENV)/.installed
	$(VENV)/bin/mypy

sanitized: $(VENV)/.installed
	tools/check_sanitized.sh $(PY)

packaging: $(VENV)/.installed
	tools/check_packaging.sh $(PY)

bench: $(VENV)/.installed
	$(PY) -m bench --write $$($(PY) -m bench | sed "s/^benchmarks://")

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	rm -f arithtf/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's Python comes without ensurepip; a pip that is there can fill the environment instead.
$(VENV)/.made:
	@$(PYTHON) tools/preflight.py
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; \
	then $(PYTHON) -m venv --clear $(VENV); \
	else $(PYTHON) -m venv --clear --without-pip $(VENV) \
	  && $(PYTHON) -m pip --python $(PY) install --quiet 'pip>=24'; fi
	@touch $@

$(VENV)/.tools: $(VENV)/.made pyproject.toml tools/requirements.py
	$(PY) tools/requirements.py build dev > $(VENV)/requirements.txt
	$(PIP) install -r $(VENV)/requirements.txt
	@touch $@

$(VENV)/.torch: $(VENV)/.made
ifndef GPU
	@$(if $(filter file,$(origin TORCH)),$(PIP) install --dry-run --report - $(TORCH) \
	  | $(PY) tools/without_cuda.py '$(TORCH)')
endif
	$(PIP) install $(TORCH)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch $(VENV)/.tools $(SOURCES)
	$(PIP) install --no-build-isolation --editable '.[report]'
	@touch $@
