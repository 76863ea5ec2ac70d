"""What model servers say of themselves, in one vocabulary."""
