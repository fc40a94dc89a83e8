"""Who made a model, and whether it still is what they made.

keys          Ed25519 keys, their names and text forms
canonical     the one way to write a JSON value as bytes (RFC 8785)
sign          signatures of manifests
book          the keys this machine trusts, and for which models
digests       digests of files, remembered while the files stay as they are
admit         may this model be loaded here?
release_file  roots and releases of a hub, after The Update Framework
"""
