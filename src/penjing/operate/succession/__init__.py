"""A server is replaced by a new process of itself, and nobody who talks to it notices.

running.py    which servers run on this home, in files
channel.py    what the two processes tell each other
old.py        the running server: starts the new one, gives its socket to it, finishes its answers
new.py        the new one: takes the socket, says when it is ready
stay.py       what is left of the first one: a process that waits for its successors, for who started it
"""
