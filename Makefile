# Two commands do everything on a fresh machine with Python 3.11+ and make:
#   make demo   a land-cover map and polygons of a real scene, with the light core (no torch)
#   make test   the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SCENE := notebooks/data/nl_urban_25cm.tif
DEMO := demo

.PHONY: demo test test-all lint bench clean

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
	$(BIN)/python -m pytest -m "not slow and not gpu and not qgis and not browser"

test-all: $(VENV)/test
	$(BIN)/python -m pytest -m "not gpu"

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
	$(BIN)/python benchmarks/seams.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/vectorise.py 1 16
	$(BIN)/python benchmarks/predict.py

clean:
	rm -rf .venv* $(DEMO)

$(VENV)/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "rsseg needs Python 3.11 or later; name one by PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(PIP) --upgrade pip

# Each stamp stands for an installation; a changed pyproject.toml makes it anew.
$(VENV)/core: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/test: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[dev]"
	@touch $@
