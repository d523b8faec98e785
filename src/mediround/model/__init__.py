"""The network: its parts, their composition, and how it is loaded."""
