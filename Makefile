# make demo    sets up and runs the main job on real data
# make test    sets up and runs lint and every tier of tests
# make test-pi  deployments in full, in a container and on virtual Raspberry Pis; hours
# make matrix  converts every model of the zoo with every recipe and writes docs/matrix.md; some 20 minutes
# make architectures  measures every architecture; writes costs.json and the table in docs/architectures.md
# make bench   prints speed and memory as ratios, measured side by side in one run
# make wheel   builds what a device installs: pip install dist/edgeml_kit-*.whl
# make lint    ruff, mypy, import-linter
# make clean   removes the environments

UV_VERSION := 0.13.9
PYTHON ?= python3
DEVICE_PYTHON ?= $(PYTHON)
UV := UV_PYTHON_DOWNLOADS=never .tools/bin/uv
RUN := .venv/bin
PYTEST_ARGS ?=

.PHONY: demo test lint bench unit environments conversion integration deployment device debian matrix architectures test-pi wheel clean
.DEFAULT_GOAL := demo

demo: .venv/host
	$(RUN)/edgeml demo

# The environments of the loaders come over the network while the quick tests run. Deployments wait for a machine
# that boots, and for releases that are watched, while models are converted.
test: lint
	$(MAKE) -j 2 environments unit
	$(MAKE) device
	$(MAKE) -j 2 conversion deployment
	$(MAKE) integration

lint: .venv/dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

unit: .venv/dev
	$(RUN)/pytest tests/unit tests/docs -n 2 $(PYTEST_ARGS)

# Each conversion is a process of its own that is waited for, so three at a time; what belongs to one model stays
# together.
conversion: .venv/dev environments debian
	$(RUN)/pytest tests/integration/converters -n 3 --dist loadscope $(PYTEST_ARGS)

# These wait for brokers, sensors and processes more than they compute: three at a time, a file in one piece.
integration: .venv/dev debian
	$(RUN)/pytest tests/integration tests/e2e tests/hil --ignore tests/integration/converters \
	    --ignore tests/integration/deploy -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Onto a machine under systemd; one after the other, as it is one machine.
deployment: .venv/dev debian
	$(RUN)/pytest tests/integration/deploy $(PYTEST_ARGS)

# The same in full, in the container and on a virtual Raspberry Pi: releases that hang, thirty power cuts; hours.
# What the processor decides, on two with a 32-bit system, too; the kernel of one has 64 bits.
ON_32_BITS := $(patsubst %,tests/integration/deploy/test_%.py,virtual deploy bad_releases walk)
test-pi: .venv/dev debian
	EDGEML_DEPLOY=full EDGEML_POWER_CUTS=30 $(RUN)/pytest tests/integration/deploy $(PYTEST_ARGS)
	EDGEML_MACHINE=vm EDGEML_DEPLOY=full EDGEML_POWER_CUTS=30 $(RUN)/pytest tests/integration/deploy $(PYTEST_ARGS)
	EDGEML_MACHINE=vm32 $(RUN)/pytest $(ON_32_BITS) $(PYTEST_ARGS)
	EDGEML_MACHINE=vm32on64 $(RUN)/pytest $(firstword $(ON_32_BITS)) $(PYTEST_ARGS)

debian:
	tools/debian-packages

environments: .venv/dev
	tools/loader-environments

architectures: .venv/dev
	EDGEML_ARCHITECTURES=write $(RUN)/pytest tests/integration/test_architectures.py $(PYTEST_ARGS)

matrix: .venv/dev environments
	EDGEML_MATRIX=write $(RUN)/pytest tests/integration/converters/test_matrix.py $(PYTEST_ARGS)

# The device part as a device has it: no TensorFlow, the oldest numpy, and both TFLite runtimes in turn.
device: .venv-device/ready
	.venv-device/bin/pytest tests/unit/edge_sdk $(wildcard tests/integration/test_run*.py) -n 2 $(PYTEST_ARGS)
	EDGEML_RUNTIME=tflite_runtime .venv-device/bin/pytest $(wildcard tests/unit/edge_sdk/test_model*.py) \
	    tests/unit/edge_sdk/test_runtimes.py \
	    tests/unit/edge_sdk/test_verify.py tests/unit/edge_sdk/test_inference.py \
	    $(wildcard tests/integration/test_run*.py) -n 2 $(PYTEST_ARGS)

wheel: .tools/ready
	$(UV) build --wheel --out-dir dist

bench: .venv/dev
	$(RUN)/python -m benchmarks

clean:
	rm -rf .venv .venv-device .tools

.tools/ready: tools/bootstrap Makefile
	PYTHON=$(PYTHON) tools/bootstrap $(UV_VERSION)
	touch $@

.venv/host: pyproject.toml uv.lock .tools/ready
	$(UV) sync --locked --python $(PYTHON) --extra host --inexact --compile-bytecode
	touch $@

.venv/dev: pyproject.toml uv.lock .tools/ready
	$(UV) sync --locked --python $(PYTHON) --extra host --group dev --compile-bytecode
	touch $@ .venv/host

.venv-device/ready: pyproject.toml uv.lock .tools/ready
	UV_PROJECT_ENVIRONMENT=.venv-device $(UV) sync --locked --python $(DEVICE_PYTHON) \
	    --extra tflite-runtime --extra image --extra gateway --group test --compile-bytecode
	$(UV) pip install --quiet --python .venv-device/bin/python --compile-bytecode 'numpy==1.24.4'
	touch $@
