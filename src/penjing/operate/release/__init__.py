"""Releases: a canary that is tried, judged, and promoted or rolled back by itself."""
