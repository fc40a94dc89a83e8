"""Which engine, library, threads, batch and cache type compute a model quickest on this machine, found by trying."""
