"""What answers where no model is set up: deterministic, put together from what was asked, never made up.

``answer`` looks at the messages and chooses: a diff is reviewed (``diffs``, ``ruff``, ``review``), commits become
release notes (``commits``), a log is searched for what failed (``failures``), anything else is summed up by its most
telling sentences (``ranking``). Every text begins with ``[offline]``.
"""
