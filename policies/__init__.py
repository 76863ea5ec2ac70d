"""Rego policies, a folder a package, each with its tests. There is none yet."""
