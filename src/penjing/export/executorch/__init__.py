"""The target `executorch`: a `.pte` program with XNNPACK's kernels and its cache inside."""
