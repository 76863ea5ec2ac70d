"""Software bills of materials: made, normalised, validated, converted and compared."""
