"""Answers that are kept: how they are named, stored and given again."""
