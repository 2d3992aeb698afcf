"""Closed-form item-item models; no torch."""
