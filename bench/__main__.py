"""``python -m bench NAME [--json] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

from bench.report import Figure, table

NAMES = (
    "steps",
    "rebuild",
    "cli",
    "evidence",
    "signing",
    "policy",
    "vulnerabilities",
    "sbom",
    "audit",
    "runs",
    "latency",
    "intake",
    "chaos",
    "llm",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs one benchmark; 0 when it could be measured, whatever it measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller graphs; for trying it out")
    given, rest = parser.parse_known_args(arguments)
    module = importlib.import_module(f"bench.{given.name}")
    own = argparse.ArgumentParser(prog=f"python -m bench {given.name}", add_help=False)
    if hasattr(module, "options"):
        module.options(own)
    figures: list[Figure] = module.measure(quick=given.quick, **vars(own.parse_args(rest)))
    if given.json:
        print(json.dumps({figure.key: figure.value for figure in figures}))
    else:
        print(table(given.name, figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
