"""Rego policies, a folder a package, each with its tests and samples; docs/policies.md says what they ask for."""
