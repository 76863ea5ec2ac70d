"""``maestro run --watch``: runs, waits for a saved file, runs again; the cache keeps what the file does not affect."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from maestro.cli.ending import explain, obey_sigterm
from maestro.cli.options import GlobalOptions
from maestro.cli.prepare import Asked, find_project
from maestro.cli.running import Shown, run_once
from maestro.cli.terminal import Terminal, printable
from maestro.errors import MaestroError
from maestro.project import Project

_SHOWN = 5
_QUIET_MILLISECONDS = 150
_SETTLE_SECONDS = 0.1


class Saves:
    """Collects the paths saved in a project, from a thread of its own, so that none is missed while steps run."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._batches: queue.SimpleQueue[set[str]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._thread.start()
        self._ready.wait()

    def wait(self) -> list[str]:
        """Blocks until files were saved that are part of the revision; their paths, sorted."""
        while True:
            found = self._batches.get()
            # An editor saves in several steps, and a person several files: what comes at once is one change.
            time.sleep(_SETTLE_SECONDS)
            while not self._batches.empty():
                found |= self._batches.get()
            wanted = self._not_ignored(found)
            if wanted:
                return wanted

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(timeout=2)

    def _watch(self) -> None:
        from watchfiles import DefaultFilter, watch

        root, home = self._project.root.resolve(), self._project.home.resolve()
        # Only what is never source; .gitignore decides about the rest.
        only = DefaultFilter(ignore_dirs=(".git",), ignore_entity_patterns=(), ignore_paths=(home,))
        changes = watch(
            root,
            watch_filter=only,
            stop_event=self._stop,
            step=50,
            debounce=_QUIET_MILLISECONDS,
            rust_timeout=200,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for batch in changes:
            # The first answer, empty or not, says that the folders are being watched.
            self._ready.set()
            found = {Path(path).relative_to(root).as_posix() for _kind, path in batch}
            if found:
                self._batches.put(found)
        self._ready.set()

    def _not_ignored(self, paths: Iterable[str]) -> list[str]:
        names = sorted(paths)
        data = "\0".join(names).encode("utf-8", "surrogateescape")
        try:
            ignored = self._project.git("check-ignore", "-z", "--stdin", input_bytes=data)
        except MaestroError:
            return names  # Git answers 1 when it ignores none of them.
        out = set(ignored.decode("utf-8", "surrogateescape").split("\0"))
        return [name for name in names if name not in out]


def watch_and_run(options: GlobalOptions, asked: Asked, shown: Shown, max_concurrent: int | None) -> int:
    """Runs now and after each save, until Ctrl-C; the exit code: 130 when that stopped a run, else 0."""
    terminal = shown.terminal()
    project = find_project(options)
    saves = Saves(project)
    try:
        while True:
            last = _tree(options)
            code = _run(options, asked, shown, max_concurrent)
            obey_sigterm()
            if code == 130:
                return code
            _say(terminal, shown, "waiting for a saved file; Ctrl-C ends")
            while True:
                changed = saves.wait()
                if _tree(options) != last:
                    break
            more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            _say(terminal, shown, f"changed: {printable(', '.join(changed[:_SHOWN]))}{more}")
    except KeyboardInterrupt:
        return 0
    finally:
        saves.close()


def _run(options: GlobalOptions, asked: Asked, shown: Shown, max_concurrent: int | None) -> int:
    try:
        return run_once(options, asked, shown, max_concurrent)
    except MaestroError as error:
        # A file saved half-way is no reason to stop watching.
        return explain(error, options)


def _tree(options: GlobalOptions) -> str:
    """What the checkout holds now, products of the workflow left out; when that cannot be said, why not.

    One save may be heard of twice, as of a file that is emptied and then written; what is wrong in the same way as
    before would only be explained again.
    """
    from maestro.cli.prepare import open_project

    try:
        return open_project(options).current_revision().tree
    except MaestroError as error:
        return f"unreadable: {error}"


def _say(terminal: Terminal, shown: Shown, text: str) -> None:
    if shown.json_lines:
        import json

        text = json.dumps({"time": time.time(), "level": "info", "message": text})
    terminal.line(text if shown.json_lines else terminal.paint(text, "dim"))
    terminal.stream.flush()
