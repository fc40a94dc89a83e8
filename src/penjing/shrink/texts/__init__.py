"""Texts: what models are calibrated on and measured with, in several languages."""
