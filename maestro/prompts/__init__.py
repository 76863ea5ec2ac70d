"""Prompts in files: versioned, with variables that are checked, rendered in a sandbox."""
