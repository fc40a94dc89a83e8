"""Engines: each runs a model, each is an address that speaks OpenAI's HTTP dialect."""
