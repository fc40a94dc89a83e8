"""One decoder in plain torch for all families, which every exporter traces.

`weights.load` makes it of a checkpoint folder, `cache.Growing` and `cache.Static` give it a cache. Nothing is imported
here: torch is an extra.
"""
