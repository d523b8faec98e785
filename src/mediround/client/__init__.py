"""Sessions on a server (``mediround serve``), in the hands of a program without torch.

    client = mediround.Client("http://127.0.0.1:8000", token="…")
    session = client.open("ct.dcm")
    turn = session.ask("Segment the liver.")

A :class:`RemoteSession` has the surface of ``mediround.Session``.
"""

from mediround.client.connection import Client
from mediround.client.refusals import ServerError
from mediround.client.session import RemoteSession, RemoteTurn

__all__ = ["Client", "RemoteSession", "RemoteTurn", "ServerError"]
