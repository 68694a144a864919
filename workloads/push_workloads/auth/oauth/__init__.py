"""Login by Google, GitHub and other providers (OAuth 2.0, OpenID Connect), with what RFC 9700 asks of a client.

A browser is sent to the provider and comes back with a code of the provider's; we take that to the provider, learn who
it is, and send the browser on to the app with a code of ours, which the app exchanges for tokens. No token stands in
any address. Which account a person gets is decided at that exchange: `linking.py`.
"""
