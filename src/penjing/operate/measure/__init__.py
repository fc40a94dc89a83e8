"""How fast an engine answers, and what it takes: a load, its figures, memory, power, where the time goes."""
