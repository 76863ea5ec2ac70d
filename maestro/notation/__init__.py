"""How files that people write are read: YAML whose every part knows its place, problems with a caret, templates.

``yaml_reader`` makes a ``document`` of bytes, ``shape`` validates it against models in words for people, ``problems``
are what is wrong with it. ``environment`` and ``filters`` are the sandboxed Jinja2 that such files may hold.
``json_schema`` tells editors what those models check; ``generated`` keeps parts of documents that are made from code.
"""
