# Short aliases; nothing here knows more than the tools it calls.
BIN := .venv/bin

.PHONY: check test demo bench torture

check:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test:
	$(BIN)/python -m pytest -n auto

demo:
	examples/demo

bench:
	$(BIN)/python -m tests.benchmarks.delivery
	$(BIN)/python -m tests.benchmarks.rehearsal
	$(BIN)/python -m tests.benchmarks.large_messages

torture:
	$(BIN)/python -m tests.torture
