"""The verb `trust` and its verbs."""
