"""A plan as one HTML file: charts drawn by small functions, every text in both languages, nothing from elsewhere."""
