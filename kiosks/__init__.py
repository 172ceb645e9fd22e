"""Terminals: devices, the citizen's visit, the screen. A REST client of the integrations, nothing more."""
