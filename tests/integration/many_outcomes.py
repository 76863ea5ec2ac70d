"""A workflow whose steps end in every way there is, as its parameters say, and what is waited for in its tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.delivery import Delivery

WORKFLOW = """
    name: many-outcomes
    project: shop
    params:
      who: {type: string, default: world}
      gate: {type: string, default: '', description: A file one step waits for.}
      flag: {type: string, default: '', description: A file one step fails without.}
      deploy: {type: boolean, default: false}
    stages:
      - name: build
        steps:
          - id: make
            run: shell
            with: {command: 'mkdir -p dist && echo "hello {{ params.who }}" | tee dist/out.txt'}
            outputs: {out: dist/out.txt}
          - id: send
            run: shell
            cache: false
            with: {command: 'echo sent'}
            compensate: {run: shell, with: {command: 'echo taken back'}}
      - name: test
        parallel:
          - id: lint
            run: shell
            cache: false
            continue_on_error: true
            with: {command: 'echo untidy; exit 3'}
          - id: flaky
            run: shell
            cache: false
            retries: {max: 1, delay: 10ms}
            with: {command: 'echo "try $MAESTRO_ATTEMPT"; test "$MAESTRO_ATTEMPT" = 2'}
          - id: each
            run: shell
            matrix: {letter: [a, b]}
            with: {command: 'echo letter {{ matrix.letter }} é'}
          - id: waits
            run: shell
            cache: false
            with:
              command: |
                echo before; printf half
                gate='{{ params.gate }}'
                until [ -z "$gate" ] || [ -e "$gate" ]; do sleep 0.02; done
                echo ' and half'; echo after
      - name: gate
        steps:
          - id: flag
            run: shell
            cache: false
            with: {command: 'flag="{{ params.flag }}"; [ -z "$flag" ] || [ -e "$flag" ] || { echo no flag; exit 4; }'}
      - name: deploy
        when: params.deploy
        steps:
          - {id: ship, run: shell, with: {command: 'echo shipped'}}
    finally:
      - {id: bye, run: shell, with: {command: 'echo bye'}}
    """


def make(delivery: Delivery) -> str:
    """Commits the workflow; the revision."""
    delivery.workflow(WORKFLOW)
    return delivery.git("rev-parse", "HEAD")


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``condition`` answers as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def fresh(folder: Path, name: str) -> str:
    """A path at which there is no file yet."""
    return str(folder / name)
