"""Recordings from anywhere into a dataset folder: one module a format, all of which yield pieces."""

from edge_sdk.channels import parse_channels
from train_host.data.importing.request import Columns, Request
from train_host.data.importing.sources import find, size_of
from train_host.data.importing.writing import Imported, run

__all__ = ["Columns", "Imported", "Request", "find", "parse_channels", "run", "size_of"]
