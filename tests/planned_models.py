"""Models for the planner's tests, described and not on disk."""

from pathlib import Path

from penjing.probe.facts import Model


def llama(layers: int, width: int, heads: int, kv_heads: int, feed_forward: int, **more: object) -> Model:
    """A model of llama's architecture without tensors; `more` are other facts of it."""
    facts: dict[str, object] = {
        "path": Path("a.gguf"),
        "format": "gguf",
        "architecture": "llama",
        "layers": layers,
        "embedding": width,
        "heads": heads,
        "kv_heads": kv_heads,
        "feed_forward": feed_forward,
        "key_length": width // heads,
        "value_length": width // heads,
        "vocabulary": 259,
        "bytes": 1000,
    }
    return Model(**{**facts, **more})  # type: ignore[arg-type]  # facts by name
