"""OpenAI's dialect, which engines speak as well."""
