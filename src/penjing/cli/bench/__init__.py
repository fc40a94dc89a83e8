"""The verb `bench`: what is measured, and how the figures are shown."""
