"""Where models come from: repositories, servers and folders, as lists of files with their digests."""
