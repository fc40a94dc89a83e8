"""Fewer bits per weight: which type each tensor gets, and how its numbers are rounded to it."""

from penjing.shrink.quantize.faults import AlreadyQuantized
from penjing.shrink.quantize.mix import Mix, Quantized
from penjing.shrink.quantize.write import quantize

__all__ = ["AlreadyQuantized", "Mix", "Quantized", "quantize"]
