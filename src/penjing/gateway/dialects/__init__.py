"""Dialects: what a client speaks, to and from `penjing.messages`."""
