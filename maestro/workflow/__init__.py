"""The workflow language: models, the loader with places for every error, expressions, the graph, the editors' schema.

``load`` reads a file, ``check`` finds everything wrong with it, ``expressions`` evaluates ``{{ … }}``, ``graph`` turns
stages of steps into nodes. Nothing here looks at a repository or runs anything.
"""
