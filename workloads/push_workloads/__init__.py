"""The five services of PushCluster: gateway, auth, message, presence and push.

They never import each other: they meet on the bus. What they share is in `common`, which knows none of them.
"""

__version__ = "0.1.0"
