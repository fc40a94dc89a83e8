"""What a recipe is made of: kinds of steps, each with its options, what is foreseen of it and what does it."""
