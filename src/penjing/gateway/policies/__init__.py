"""Policies: what is decided about a request on its way, one small middleware each."""
