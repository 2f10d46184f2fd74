"""Servers that speak as Google's and Azure's stores do, each in a process of its own.

Google's is a package of the test environment. Azure's (azurite, `npm install -g azurite`) is taken where it is on the
PATH.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from object_store import BUCKET, free_port, running

# azurite's own published account, which opens nothing else
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def google_server(folder: Path) -> Iterator[int]:
    """The port of a Google Cloud Storage emulator with an empty `BUCKET`."""
    port = free_port()
    command = [sys.executable, "-c", "from gcp_storage_emulator.__main__ import main; main()", "start"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", BUCKET]
    with running(command, port, folder):
        yield port


@contextmanager
def azure_server(folder: Path) -> Iterator[int]:
    """The port of an Azure Blob Storage emulator with an empty container `BUCKET`."""
    from azure.storage.blob import BlobServiceClient

    port = free_port()
    command = [str(azurite()), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with running(command, port, folder):
        made = BlobServiceClient.from_connection_string(azure_environment(port)["AZURE_STORAGE_CONNECTION_STRING"])
        with made:
            made.create_container(BUCKET)
        yield port


def azurite() -> str | None:
    return shutil.which("azurite-blob")


def google_environment(port: int) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}


def azure_environment(port: int, key: str = AZURE_KEY) -> dict[str, str]:
    parts = {
        "DefaultEndpointsProtocol": "http",
        "AccountName": AZURE_ACCOUNT,
        "AccountKey": key,
        "BlobEndpoint": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
    }
    return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in parts.items())}
