"""Licences of components, as SPDX expressions, against what a project allows."""
