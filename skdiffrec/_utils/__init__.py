"""What every part of the library may use; no torch."""
