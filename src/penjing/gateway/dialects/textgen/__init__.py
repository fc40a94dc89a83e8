"""text-generation-webui's first API (`/api/v1/...`), which many front ends still speak."""
