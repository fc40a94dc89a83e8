"""The hub: versions, channels and devices behind HTTP. Needs the extra `penjing[hub]`."""
