"""`penjing release`: which version of a model is out."""
