"""Installs database drivers that the image lacks into /app/drivers, and verifies that they can be imported.

If the image contains them, the script installs nothing and uses no network.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TARGET = Path(os.environ.get("LASTACK_DRIVERS", "/app/drivers"))
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
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


def without_account(text):
    # An index may need a password, which is then part of its address
    return re.sub(r"//[^/@\s]*@", "//", text)


def fail(what, output):
    # The last line of the log is the reason, and Kubernetes copies it into the Pod's status
    print(without_account(output.strip()), file=sys.stderr)
    sys.exit(f"error: {without_account(what)}")


def main():
    found = importable()
    if found.returncode == 0:
        print(f"The drivers are there\n{found.stdout.strip()}")
        return
    missing = found.stderr.strip().splitlines()[-1]
    if os.environ.get("LASTACK_DRIVERS_INSTALL") != "true":
        fail(f"the image lacks a driver ({missing}) and the value drivers.install forbids to install it", found.stderr)
    index = without_account(os.environ.get("UV_DEFAULT_INDEX") or "uv's default index")
    print(f"The image lacks a driver ({missing}); installing from {index}", flush=True)

    # Remains of an interrupted attempt
    for old in TARGET.iterdir():
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    command = ["uv", "pip", "install", "--no-config", "--no-cache", "--python", sys.executable, "--target", str(TARGET)]
    # --no-deps: Superset's environment contains the other dependencies, and their versions must not change
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "--requirements", str(REQUIREMENTS)]
    try:
        installed = subprocess.run(command, stdout=sys.stdout, stderr=subprocess.PIPE, text=True, timeout=600)
    except FileNotFoundError:
        fail("the image has no `uv` to install the drivers with", "")
    except subprocess.TimeoutExpired as error:
        fail(f"installing the drivers from {index} took more than 10 minutes", error.stderr.decode() if error.stderr else "")
    if installed.returncode != 0:
        fail(f"installing the drivers from {index} failed: {reason(installed.stderr)}", installed.stderr)

    found = importable()
    if found.returncode != 0:
        fail(f"the drivers are installed but cannot be imported: {found.stderr.strip().splitlines()[-1]}", found.stderr)
    print(f"The drivers are installed\n{found.stdout.strip()}")


def reason(log):
    """Shortens an error of uv, which has several lines, to the address and the innermost cause."""
    lines = [re.sub(r"^[\s╰─▶│├×]*(error:|cause:|Caused by:)?\s*", "", line) for line in log.splitlines() if line.strip()]
    if not lines:
        return "uv said nothing"
    wanted = next((line for line in lines if "://" in line), lines[0])
    return wanted if wanted == lines[-1] else f"{wanted}: {lines[-1]}"


main()
