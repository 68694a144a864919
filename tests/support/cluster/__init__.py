"""A whole Kubernetes for tests, which pulls images, runs pods and routes Services: kind where Docker runs, else bare.

`python -m tests.support.cluster up` leaves one running to try things on, with the product's images in it.
"""
