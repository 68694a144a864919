"""The delivery checker: what happens to a message when something breaks, seen from the outside.

`python -m tests.support.delivery cuts --devices 1000 --seconds 60` runs it large; `tests/integration/gateway/
test_delivery.py` runs it small. Users with several devices each send to one another over real gateways, while sockets
are cut and processes killed; then `book.py` compares what every device saw with what was acknowledged.
"""
