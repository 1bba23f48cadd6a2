.PHONY: bench demo greeting test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle threads sleep: two that spin on a busy machine wait for each other.
test demo: export OMP_WAIT_POLICY ?= PASSIVE
# Where the environment forbids bytecode, every process of the tests compiles the library anew.
test: export PYTHONDONTWRITEBYTECODE :=

# pip says nothing of its own version, nor of who runs it.
demo: export PIP_DISABLE_PIP_VERSION_CHECK := 1
demo: export PIP_ROOT_USER_ACTION := ignore
demo: greeting $(VENV)/.demo
	@$(BIN)/python -m streaming_metrics.demo $(ARGS)

greeting:
	@test -e $(VENV)/.demo || echo "First time: installing PyTorch, Lightning and this library into $(VENV), some minutes …"

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run_all.py $(ARGS)

# An extra is installed once; a change of pyproject.toml installs it again.
$(VENV)/.%: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@
