"""A base image like the official one, made of Debian's packages, for machines that cannot reach Docker Hub.

It shows what the Dockerfile does, not what the official base contains.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from image.engine import OFFICIAL, ROOT, Engine

SUITE = "trixie"
"""The Debian release whose Python is the official base's, 3.13."""
TAG = f"localhost/python-connector-base:{SUITE}"
STEPS = """\
FROM scratch
ADD rootfs.tar /
ENV LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
RUN ln -s python3 /usr/bin/python && useradd --uid 1000 --user-group --no-create-home airbyte \\
    && mkdir /airbyte && chown airbyte: /airbyte
"""
LEFT_OUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")


def build(engine: Engine) -> str:
    """Build the stand-in with debootstrap, unless the engine has it, and return its tag."""
    if engine.has(TAG):
        return TAG
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        sys.exit(f"{OFFICIAL} cannot be pulled here, and a stand-in needs debootstrap and root.")
    with TemporaryDirectory(dir=ROOT / ".cache") as folder:
        system, context = Path(folder, "system"), Path(folder, "context")
        context.mkdir()
        packages = "--include=ca-certificates,python3-venv"
        debootstrap = ["debootstrap", "--variant=minbase", packages, SUITE, str(system)]
        subprocess.run(debootstrap, stdout=subprocess.DEVNULL, check=True)
        tar = ["tar", "-C", str(system), *(f"--exclude={path}" for path in LEFT_OUT)]
        subprocess.run([*tar, "-cf", str(context / "rootfs.tar"), "."], check=True)
        (context / "Dockerfile").write_text(STEPS)
        engine.build(context, TAG)
    return TAG
