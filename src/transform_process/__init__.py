"""Turns what is loaded into answers; owns the warehouse's schema."""
