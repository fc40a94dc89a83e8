"""The command line: doors parse, call a station, print. One file a verb.

stdout is data, stderr is talk. Nothing heavy is imported before a verb needs it.
"""
