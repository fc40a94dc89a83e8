"""The gateway: one HTTP server in front of engines. Dialect in, policies, engine, policies, dialect out."""
