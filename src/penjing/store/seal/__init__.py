"""Models encrypted at rest, and decrypted only into memory that an engine maps.

form      the file: header, slots, chunks
keys      what opens it: a passphrase, the system's keyring, a command
sealing   a plain file becomes a sealed one
opening   a sealed file is checked, opened, and read in parallel
memory    a file that is only in memory (Linux)
guard     nothing of this process reaches a core dump
"""
