"""The verb `device` and its verbs."""
