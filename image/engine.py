"""What builds, keeps and runs the image: docker where a daemon answers, buildah and podman elsewhere."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "ghcr.io/source-amplitude/source-amplitude:dev"
OFFICIAL: str = re.findall(r"ARG BASE_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text())[0]
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
MEMORY_MIB = 512


class Engine:
    """What builds, keeps and runs images on this machine."""

    def __init__(self, store: Path | None = None) -> None:
        """Find docker, or buildah and podman, which keep their images in `store` if given."""
        self.docker = succeeds("docker", "version")
        if not self.docker and not shutil.which("buildah"):
            sys.exit(
                "There is neither a docker daemon nor buildah here: install docker,"
                " or Debian's packages buildah, podman, runc and debootstrap."
            )
        # A store that is not mounted onto itself can be deleted like any folder.
        options = ["--storage-driver=overlay", "--storage-opt=overlay.skip_mount_home=true"]
        if store:
            options += [f"--root={store}/store", f"--runroot={store}/run"]
        self.builder = ["docker"] if self.docker else ["buildah", *options]
        # podman would take crun, which refuses machines with cgroups of both versions.
        runtime = [f"--runtime={path}"] if (path := shutil.which("runc")) else []
        self.runner = ["docker"] if self.docker else ["podman", *options, *runtime]

    def build(self, folder: Path, tag: str, base: str | None = None) -> None:
        """Build a folder's Dockerfile, on another base if one is given."""
        command = [*self.builder, "build" if self.docker else "bud", f"--tag={tag}"]
        if base:
            command.append(f"--build-arg=BASE_IMAGE={base}")
        with TemporaryDirectory() as mounted:
            if not self.docker:
                # Without a container of its own, so that it works inside one; with layers kept, like docker.
                command += ["--isolation=chroot", "--layers"]
            if not self.docker and AUTHORITIES.exists():
                # The build trusts what this machine trusts, such as a proxy's authority; the image does not.
                settings = Path(mounted, "pip.conf")
                settings.write_text(f"[global]\ncert = {AUTHORITIES}\n")
                command += [f"--volume={AUTHORITIES}:{AUTHORITIES}:ro"]
                command += [f"--volume={settings}:/etc/pip.conf:ro"]
            if subprocess.run([*command, str(folder)]).returncode:
                sys.exit(f"The image {tag} was not built; the lines above say why.")

    def base(self) -> str | None:
        """Return the official base, or None if it cannot be pulled."""
        if self.has(OFFICIAL) or succeeds(*self.runner, "pull", OFFICIAL):
            return OFFICIAL
        return None

    def has(self, image: str) -> bool:
        """Return whether the image is stored on this machine."""
        return succeeds(*self.runner, "image", "inspect", image)

    def inspect(self, image: str) -> dict[str, Any]:
        """Return an image's size and configuration."""
        command = [*self.runner, "image", "inspect", image]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0])

    def command(self, job: Path, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the command line that runs the image as a strict cluster does.

        512 MiB of memory, no capabilities, a read-only root; `job` is /data, its folder `tmp` is /tmp.
        """
        command = [*self.runner, "run", "--rm", "--read-only", "--network=host"]
        command += ["--log-driver=none", "--cap-drop=all", "--security-opt=no-new-privileges"]
        command += [f"--memory={MEMORY_MIB}m", f"--memory-swap={MEMORY_MIB}m"]
        command += [f"--volume={job}:/data:ro", f"--volume={job}/tmp:/tmp"]
        if not self.docker:
            # podman would add writable folders, and raise limits, which it may not do inside a container.
            command += ["--read-only-tmpfs=false"]
            command += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
        return [*command, *options, IMAGE, *arguments]


def succeeds(*command: str) -> bool:
    """Return whether a program exists and exits with 0."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True).returncode == 0
