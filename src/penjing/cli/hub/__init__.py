"""The verb `hub` and its verbs."""
