"""`penjing shrink`: from a wish to a smaller model that was measured."""
