"""Export: a model in the form that an engine loads."""
