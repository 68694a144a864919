"""Devices, and the queue of notifications for them."""
