.PHONY: bench demo docs test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Idle threads sleep: two that spin on a busy machine wait for each other.
test demo: export OMP_WAIT_POLICY ?= PASSIVE
docs: export NO_MKDOCS_2_WARNING := 1
# Where the environment forbids bytecode, every process of the tests compiles the library anew.
test: export PYTHONDONTWRITEBYTECODE :=

# pip says nothing but errors.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

demo: $(VENV)/.demo
	@$(BIN)/python -m streaming_metrics.demo $(ARGS)

test: $(VENV)/.test
	@echo "1 of 3: ruff, style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "2 of 3: pyright, types"
	@$(BIN)/pyright
	@echo "3 of 3: pytest, behaviour and doctests: some minutes"
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs build --strict $(ARGS)
	@echo "The site is in site/: open site/index.html; its search wants a server: $(BIN)/python -m http.server -d site"

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run_all.py $(ARGS)

# An extra is installed once; a change of pyproject.toml installs it again.
$(VENV)/.%: pyproject.toml
	@echo "Setting up $(VENV) for make $*: the first time some minutes, PyTorch is most of it"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --editable ".[$*]"
	@touch $@
