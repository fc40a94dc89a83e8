"""OpenAI's Responses API: a conversation kept by the server, answers made of items."""
