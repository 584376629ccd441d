# Two commands do everything on a fresh machine with Python 3.11+ and make:
#   make demo   a land-cover map and polygons of a real scene, with the light core (no torch)
#   make test   the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# a process for each core, each with one thread: more would only wait for each other
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal
SCENE := notebooks/data/nl_urban_25cm.tif
DEMO := demo

.PHONY: demo test test-slow test-all lint bench docs clean

demo: $(VENV)/core
	@mkdir -p $(DEMO)
	$(BIN)/rsseg predict $(SCENE) --out $(DEMO)/landcover.tif --polygons $(DEMO)/landcover.gpkg --rescale --overwrite
	$(BIN)/rsseg qgis $(DEMO)/landcover.tif --scene $(SCENE) --polygons $(DEMO)/landcover.gpkg --out $(DEMO)/map.qgz --overwrite
	@echo
	@echo "Open these in QGIS, they come named and coloured:"
	@echo "  $(CURDIR)/$(DEMO)/map.qgz   all of it"
	@echo "  $(CURDIR)/$(SCENE)   the scene"
	@echo "  $(CURDIR)/$(DEMO)/landcover.tif   its land-cover map"
	@echo "  $(CURDIR)/$(DEMO)/landcover.gpkg   the map as polygons"

test: $(VENV)/test
	$(TESTS) -m "not slow and not gpu and not qgis and not browser"

test-slow: $(VENV)/test
	$(TESTS) -m "(slow or qgis or browser) and not gpu"

test-all: $(VENV)/test
	$(TESTS) -m "not gpu"

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

bench: $(VENV)/test
	$(BIN)/python benchmarks/embedded_model.py
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/collar.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/model_table.py
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/npaloss.py
	$(BIN)/python benchmarks/scaleout.py
	$(BIN)/python benchmarks/seams.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/vectorise.py 1 16
	$(BIN)/python benchmarks/view.py
	$(BIN)/python benchmarks/predict.py

# NO_MKDOCS_2_WARNING: Material for MkDocs tells at each build that MkDocs 2 is not for it; we stay below
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open $(CURDIR)/build/docs/index.html"

clean:
	rm -rf .venv* $(DEMO) build/docs

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "rsseg needs Python 3.11 or later; name one by PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(PIP) --upgrade pip

# Each stamp stands for an installation; a changed pyproject.toml makes it anew.
$(VENV)/core: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/test: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[dev]"
	@touch $@
