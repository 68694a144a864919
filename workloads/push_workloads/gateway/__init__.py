"""The gateway: WebSockets on one side, the log on the other. `session` and `sending` are pure; `hub` knows who is
here; `log`, `presence`, `cursors` speak to peers; `server` holds the sockets; `service` puts it together."""
