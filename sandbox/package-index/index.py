"""index.py REQUIREMENTS FOLDER: downloads what a file of requirements names, and makes a package index of it (PEP 503).

FOLDER/host is the host that serves the default index of pip and of uv, which is the same.
"""

import hashlib
import html
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pip._internal.models.index import PyPI

requirements, folder = sys.argv[1], Path(sys.argv[2])
files = folder / "files"
files.mkdir(parents=True)
subprocess.run(
    [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--require-hashes"]
    + ["--only-binary=:all:", "--dest", files, "--requirement", requirements],
    check=True,
)

simple = folder / urlsplit(PyPI.simple_url).path.strip("/")
pages = {}
for wheel in sorted(files.iterdir()):
    name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
    checksum = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pages.setdefault(name, []).append(f'<a href="/files/{html.escape(wheel.name)}#sha256={checksum}">{html.escape(wheel.name)}</a><br>')
for name, links in pages.items():
    page = simple / name / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("<!DOCTYPE html>\n" + "\n".join(links) + "\n")
(simple / "index.html").write_text("<!DOCTYPE html>\n" + "".join(f'<a href="{name}/">{name}</a><br>\n' for name in pages))
(folder / "host").write_text(urlsplit(PyPI.simple_url).netloc + "\n")
