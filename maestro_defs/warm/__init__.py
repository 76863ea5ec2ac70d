"""The warm server and its workers: runs that start at once, because everything they need is imported before the fork.

``server`` forks and reaps workers, ``child`` makes a fork a process of its own, ``worker`` carries out runs and listens
for what is asked of them, ``records`` say which worker has which run, ``wire`` is how they talk, ``preload`` and
``changes`` are what is imported and when it is out of date. ``cold`` is a worker started without the server.
"""
