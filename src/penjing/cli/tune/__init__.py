"""The verb `tune`, and what other verbs use of what it chose."""
