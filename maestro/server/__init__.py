"""What the programs of a server share: its home, its database, the projects it delivers, who holds which lease."""
