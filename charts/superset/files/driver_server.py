"""Installs the database drivers that the image lacks, and gives them to the Pods of Superset.

This Pod alone has access to a package index. It has no password, no data, and no access to the other Pods.
"""

import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from drivers import TARGET, fail, importable, last_line

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PORT = 8089


def without_account(text):
    # An index may need a password, which is then part of its address
    return re.sub(r"//[^/@\s]*@", "//", text)


def reason(log):
    """Shortens an error of uv, which has several lines, to the address and the innermost cause."""
    lines = [re.sub(r"^[\s╰─▶│├×]*(error:|cause:|Caused by:)?\s*", "", line) for line in log.splitlines() if line.strip()]
    if not lines:
        return "uv said nothing"
    wanted = next((line for line in lines if "://" in line), lines[0])
    return wanted if wanted == lines[-1] else f"{wanted}: {lines[-1]}"


def install(missing):
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
        fail("the image has no `uv` to install the drivers with")
    except subprocess.TimeoutExpired as error:
        log = error.stderr.decode() if error.stderr else ""
        fail(f"installing the drivers from {index} took more than 10 minutes", without_account(log))
    if installed.returncode != 0:
        log = without_account(installed.stderr)
        fail(f"installing the drivers from {index} failed: {reason(log)}", log)


class Handler(BaseHTTPRequestHandler):
    pages = {"/health": b"ok"}

    def do_GET(self):
        page = self.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *arguments):
        """No line for each probe."""


def main():
    found = importable()
    if found.returncode != 0:
        install(last_line(found))
        found = importable()
        if found.returncode != 0:
            fail(f"the drivers are installed but cannot be imported: {last_line(found)}", found.stderr)
    print(f"The drivers are there\n{found.stdout.strip()}", flush=True)
    Handler.pages["/drivers.zip"] = Path(shutil.make_archive("/tmp/drivers", "zip", TARGET)).read_bytes()
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


main()
