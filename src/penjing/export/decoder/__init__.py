"""One decoder in plain torch for all families, which every exporter traces.

`weights.load` makes it of a checkpoint folder, `cache.Growing` gives it a cache; targets whose caches have another form
have that beside them. Nothing is imported here: torch is an extra.
"""
