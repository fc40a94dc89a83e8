"""The verb `engine`, one file a verb of its own."""
