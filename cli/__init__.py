"""The command line of rsseg: one light module per command, installed as ``rsseg_cli``.

Nothing but click is imported before a command runs, so that ``--help`` is instant.
"""
