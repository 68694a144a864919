"""Apple's push service: what a notification is there, what its answers mean, and the connections that carry it.

`payload` and `reasons` are pure; `connection` and `pool` mend and bound aioapns; `carrier` puts them together.
"""
