"""Accounts: registration, login, and the tokens that every other service believes."""
