"""Vocabulary: a language is added to a tokenizer, and nothing that it knew is spelled otherwise."""
