"""HTTP in front of engines: dialects, policies, metrics."""
