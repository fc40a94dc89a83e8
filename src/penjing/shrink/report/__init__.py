"""What came of a recipe as one HTML file: what was lost for how much, which tensor has how many bits, answers before
and after; in both languages, nothing from elsewhere."""
