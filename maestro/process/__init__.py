"""Processes of steps: started through a guard that lets none outlive the run worker, with a clean environment.

``runner`` is the worker's side, ``guard`` the small program on the other (``shared``: one for several runs),
``stopping`` how a process is asked to stop, ``environment`` says what a step inherits, ``sandbox`` gives a step a view
of its own.
"""

from maestro.process.environment import base_environment, without_credentials
from maestro.process.result import ProcessResult
from maestro.process.runner import ProcessRunner
from maestro.process.stopping import StopEvent

__all__ = ["ProcessResult", "ProcessRunner", "StopEvent", "base_environment", "without_credentials"]
