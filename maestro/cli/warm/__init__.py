"""The warm process of a project: ``maestro run`` starts at once, because a process that has imported everything forks.

``wanted`` says when it is used, ``identity`` what a process cannot hand over, ``place`` where the socket is, ``client``
hands a command over and ``start`` starts the process in the background: these import little, since each run waits for
it. ``program`` is the process, ``child`` its forks, each of which carries out one command. It differs from
``maestro_defs.warm``, which carries out a server's runs by their ids: here a fork takes the place of the person's own
process, with its streams, folder, environment and signals.
"""
