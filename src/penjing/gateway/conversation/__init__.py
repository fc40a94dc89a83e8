"""Conversations that are changed before a model sees them: shortened, summed up, given a preset."""
