"""An application that ships a template engine of its own choosing, and chose badly."""


def greeting(name: str) -> str:
    """What it says."""
    return f"hello {name}"
