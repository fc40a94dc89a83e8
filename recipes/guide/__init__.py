"""The recipe of the embedded model `guide`: its facts, its corpus, its training and its evaluation."""
