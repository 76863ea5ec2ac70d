"""What ``maestro doctor`` looks at."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from maestro.cli.options import GlobalOptions
from maestro.errors import MaestroError

_LEAST_PYTHON = (3, 11)
_LEAST_GIT = (2, 25)
LEAST_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Args:
        found: what was found, one line.
        next_step: what to do about it; None when nothing.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    next_step: str | None = None


_Checks = list[tuple[str, Callable[[GlobalOptions], Check]]]


def all_checks(options: GlobalOptions) -> Iterator[Check]:
    """Every check of a project and its machine, most basic first; one that cannot be made is a failed one."""
    basic, project, rest = _checks()
    yield from _made([*basic, *project, *rest], options)


def machine_checks(options: GlobalOptions) -> Iterator[Check]:
    """The checks of the machine alone."""
    basic, _, rest = _checks()
    yield from _made([*basic, *rest], options)


def _checks() -> tuple[_Checks, _Checks, _Checks]:
    basic: _Checks = [("python", _python), ("git", _git)]
    project: _Checks = [
        ("project", _project),
        ("workflow", _workflow),
        ("tools and secrets", _needs),
        ("artifact store", _store),
        ("disk space", _disk),
        ("dagster", _dagster),
        ("warm process", _warm),
    ]
    rest: _Checks = [("bubblewrap", _bubblewrap), ("node", _node), ("evidence", _evidence), ("images", _images)]
    return basic, project, rest


def _made(checks: _Checks, options: GlobalOptions) -> Iterator[Check]:
    for name, check in checks:
        try:
            yield check(options)
        except MaestroError as error:
            place = f"{error.where}: " if error.where else ""
            yield Check(name, "fail", f"{place}{error.what}", error.next_step)


def _python(_options: GlobalOptions) -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _LEAST_PYTHON:
        return Check("python", "fail", found, "install Python 3.11 or newer: apt-get install python3")
    return Check("python", "ok", found)


def _version(*argv: str) -> str | None:
    if shutil.which(argv[0]) is None:
        return None
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    return done.stdout.decode("utf-8", "replace").strip().splitlines()[0] if done.stdout else ""


def _git(_options: GlobalOptions) -> Check:
    found = _version("git", "--version")
    if found is None:
        return Check("git", "fail", "not installed", "apt-get install git")
    words = found.removeprefix("git version ").split(".")
    numbers = tuple(int(word) for word in words[:2] if word.isdigit())
    if numbers < _LEAST_GIT:
        return Check("git", "fail", found, "install git 2.25 or newer: apt-get install git")
    return Check("git", "ok", found)


def _project(options: GlobalOptions) -> Check:
    from maestro.cli.prepare import find_project

    project = find_project(options)
    return Check("project", "ok", str(project.root))


def _workflow(options: GlobalOptions) -> Check:
    from maestro.cli.prepare import open_project

    opened = open_project(options)
    return Check("workflow", "ok", f"{opened.loaded.workflow.name} {opened.loaded.workflow.version}")


def _needs(options: GlobalOptions) -> Check:
    from maestro.cli.plan import missing_advice
    from maestro.cli.prepare import Asked, open_project, prepared

    opened = open_project(options)
    # A required parameter has no value here; what it stands for is not what is looked at.
    required = [name for name, one in opened.loaded.workflow.params.items() if one.required]
    if required:
        return Check(
            "tools and secrets",
            "warn",
            f"not looked at: parameter {required[0]} has no default",
            f"maestro plan --param {required[0]}=VALUE",
        )
    with prepared(opened, Asked()) as ready:
        advice = missing_advice(ready)
    if advice:
        return Check("tools and secrets", "fail", f"missing {advice[0]}", "; ".join(advice))
    return Check("tools and secrets", "ok", "what the workflow needs is there")


def _store(options: GlobalOptions) -> Check:
    from maestro.cli.artifact_source import store_of

    store = store_of(options)
    kept = store.put_bytes(b"maestro doctor", name="doctor")
    if store.get_bytes(kept.sha256) != b"maestro doctor":
        return Check("artifact store", "fail", f"{store.url} gives back other bytes", "maestro artifacts verify")
    return Check("artifact store", "ok", f"{store.url} can be written and read")


def _disk(options: GlobalOptions) -> Check:
    from maestro.cli.prepare import find_project
    from maestro.cli.terminal import size

    home = find_project(options).ensure_home()
    free = shutil.disk_usage(home).free
    found = f"{size(free)} free under {home}"
    if free < LEAST_BYTES:
        return Check("disk space", "warn", found, "make room, for example: maestro artifacts gc")
    return Check("disk space", "ok", found)


def _dagster(options: GlobalOptions) -> Check:
    from maestro.cli.prepare import find_project
    from maestro.profile import load_profile

    profile = load_profile(options.profile)
    if "MAESTRO_POSTGRES_URL" in profile.dagster_yaml.read_text("utf-8") and not os.environ.get("MAESTRO_POSTGRES_URL"):
        return Check(
            "dagster",
            "fail",
            f"profile '{profile.name}' needs MAESTRO_POSTGRES_URL, which is not set",
            "export MAESTRO_POSTGRES_URL=postgresql://user@host:5432/database",
        )
    import dagster

    from maestro_defs.instance import open_instance

    with open_instance(find_project(options), profile) as instance:
        runs = instance.get_runs_count()
        storage = type(instance.run_storage).__name__.removesuffix("RunStorage")
    return Check("dagster", "ok", f"{dagster.__version__}, {storage or 'default'} storage, {runs} runs")


def _warm(options: GlobalOptions) -> Check:
    from maestro.cli.prepare import find_project
    from maestro.cli.terminal import size
    from maestro.cli.warm.living import living
    from maestro.cli.warm.wanted import allowed

    found = [f"process {one.pid} ({size(one.memory)})" for one in living(find_project(options).home)]
    if not (allowed(os.environ) if options.warm is None else options.warm):
        return Check("warm process", "ok", f"not used here{'; but there is ' if found else ''}{', '.join(found)}")
    return Check("warm process", "ok", ", ".join(found) or "none yet; a run starts it when it ends")


def _bubblewrap(options: GlobalOptions) -> Check:
    found = _version("bwrap", "--version")
    if found is None:
        return Check(
            "bubblewrap", "warn", "not installed; steps with `sandbox: true` need it", "apt-get install bubblewrap"
        )
    return Check("bubblewrap", "ok", found)


def _node(_options: GlobalOptions) -> Check:
    node, npm = _version("node", "--version"), _version("npm", "--version")
    if node is None or npm is None:
        absent = "node" if node is None else "npm"
        return Check("node", "warn", f"{absent} is not installed; Node packages need it", "apt-get install nodejs npm")
    return Check("node", "ok", f"node {node}, npm {npm}")


def _evidence(_options: GlobalOptions) -> Check:
    from importlib.util import find_spec

    from maestro.errors import EXTRAS

    missing = [name for name in EXTRAS["evidence"] if find_spec(name) is None]
    if missing:
        found = f"the extra 'evidence' is not installed (no {missing[0]}); SBOMs, scans, gates and packs need it"
        return Check("evidence", "warn", found, "pip install 'maestro-conductor[evidence]'")
    return Check("evidence", "ok", "the extra 'evidence' is installed")


def _images(_options: GlobalOptions) -> Check:
    missing = [name for name in ("buildah", "skopeo") if shutil.which(name) is None]
    if missing:
        found = f"{' and '.join(missing)} not installed; steps that build or copy images need them"
        return Check("images", "warn", found, f"apt-get install {' '.join(missing)}")
    return Check("images", "ok", f"{_version('buildah', '--version')}, {_version('skopeo', '--version')}")
