"""Provides the database drivers that the image lacks in /app/drivers, and verifies that they can be imported.

If the image contains them, the script uses no network. Otherwise it copies them from the Pod that runs driver_server.py, so
that no Pod with a password or with data has access to a package index.
"""

import io
import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

TARGET = Path(os.environ.get("LASTACK_DRIVERS", "/app/drivers"))
# The other Pod may first have to pull its image and to install the drivers
TIMEOUT = 900
# Import the drivers as Superset does: by the name of the dialect, through the entry point of the package
CHECK = """
import psycopg2, es.elastic
from sqlalchemy.dialects import registry
registry.load("elasticsearch.https")
print("psycopg2", psycopg2.__version__.split()[0], "from", psycopg2.__path__[0])
print("elasticsearch-dbapi from", es.elastic.__path__[0])
"""


def importable():
    # In a separate process, so that a failed import has no effect on this one
    return subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True)


def last_line(found):
    return found.stderr.strip().splitlines()[-1]


def fail(what, output=""):
    # The last line of the log is the reason, and Kubernetes copies it into the Pod's status
    print(output.strip(), file=sys.stderr)
    sys.exit(f"error: {what}")


def copy(address):
    # a proxy for the package index does not reach the Pods of this cluster
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline, said = time.monotonic() + TIMEOUT, None
    while True:
        try:
            with direct.open(address, timeout=30) as response:
                archive = response.read()
            break
        except OSError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            fail(f"waited {TIMEOUT} s for {address}: {reason}")
        if reason != said:
            print(f"Waiting for {address}: {reason}", flush=True)
            said = reason
        time.sleep(1)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(TARGET)


def main():
    found = importable()
    if found.returncode != 0:
        address = os.environ.get("LASTACK_DRIVERS_FROM")
        if not address:
            fail(f"the image lacks a driver ({last_line(found)}) and the value drivers.install forbids to install it", found.stderr)
        copy(address)
        found = importable()
        if found.returncode != 0:
            fail(f"the drivers are installed but cannot be imported: {last_line(found)}", found.stderr)
    print(f"The drivers are there\n{found.stdout.strip()}")


if __name__ == "__main__":
    main()
