"""Hundreds of promotions through the real product while everything around them breaks (docs/chaos.md)."""
