"""What of a model a target does not take, before hours are spent on finding out."""
