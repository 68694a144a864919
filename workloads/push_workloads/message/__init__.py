"""The message service: the keeper of the log's streams, the writer of history, and its reader over HTTP.

It consumes; it is no hop. While it is away messages flow between gateways, and history catches up later.
"""
