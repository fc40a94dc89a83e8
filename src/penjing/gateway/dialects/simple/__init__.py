"""The smallest dialect: a prompt in, an answer out, as the first ChatGLM servers had it."""
