"""The evidence vault: objects nobody can delete or change before their time."""
