"""What Maestro produces, one file a domain: the step kinds of the domain and, later, its standing assets.

``shell``, ``python_packages``, ``typescript``, ``tests`` and ``artifacts`` hold step kinds, found by entry point
``maestro.steps``. The other files are what those kinds share: how a project's test framework is detected
(``frameworks``), how it is run (``test_runners``), and how its report is read (``report``, ``junit``, ``go_test``,
``cargo_test``, ``jest``). No module that holds step kinds imports Dagster.
"""
