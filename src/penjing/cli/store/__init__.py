"""The verb `store` and its verbs."""
