"""A client of the service, blocking or for asyncio: upload, submit, wait, report, compare, bless.

blocking      Client         operations   what each call is, written once for both; history: those about reports
asynchronous  AsyncClient    uploads      files, in parts where they are large
connection    address, key   events       the stream of an analysis       flow   when a request is sent again
"""

from interlayer.client.asynchronous import AsyncClient
from interlayer.client.blocking import Client
from interlayer.client.operations import FINAL

__all__ = ["FINAL", "AsyncClient", "Client"]
