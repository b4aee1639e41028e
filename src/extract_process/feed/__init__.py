"""Connections to a venue: opened, watched, replaced while both deliver."""
