"""Keeping engines well once they run."""
