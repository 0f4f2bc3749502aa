# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit chromium slow clean

demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/novicegym demo --out runs/demo

test: lint types unit

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# The checker sees the package as users get it: installed, with the folders in their places.
types: $(VENV)/.installed
	rm -rf build
	$(BIN)/pip install -q --no-deps --no-build-isolation --target build/installed .
	cd build && MYPYPATH=installed ../$(BIN)/mypy --config-file ../pyproject.toml -p novicegym

unit: $(VENV)/.installed chromium
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The tests of the report's page need a browser, and are skipped where there is none.
chromium:
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium >/dev/null; } || \
	    echo "chromium is not installed: the report's page is not tested"

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf build $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q 'setuptools>=77' wheel
	$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e '.[dev,eval,train,ray,tutor,api]'
	touch $@
