"""The command line of Maestro: ``main`` knows the commands by name only; each is a module, imported when it is named.

``options`` holds what all commands share, ``prepare`` reads the project and plans, ``terminal`` writes.
"""
