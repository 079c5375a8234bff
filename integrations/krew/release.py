"""Make what krew takes: the archive of the plug-in, and its manifest.

    python integrations/krew/release.py --url https://REPOSITORY/releases --homepage https://REPOSITORY --out dist/krew

--url: where the archive will be; its file name is appended. The same checkout gives the same archive, byte for byte.
Try them with: kubectl krew install --manifest=dist/krew/mora.yaml --archive=dist/krew/kubectl-mora-v0.1.0.tar.gz
"""

import argparse
import gzip
import hashlib
import io
import tarfile
import tomllib
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SYSTEMS = ("linux", "darwin")  # the plug-in is a shell script
SHORT = "Rightsize workloads from recorded use"
DESCRIPTION = """\
Recommends CPU and memory requests, limits and replicas of workloads from what
Prometheus recorded, with the reason of each number and the share of past days
that the same rule covered. Nothing is changed in the cluster.
"""
CAVEATS = """\
The plug-in runs the program mora. Where that is not installed, it is fetched at
the first call by uvx or pipx, one of which must be there:
  pipx install mora-rightsizing
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where the archive will be downloaded from, without its name")
    parser.add_argument("--homepage", required=True, help="the page of the project")
    parser.add_argument("--out", type=Path, required=True, help="the folder for both files")
    options = parser.parse_args()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    options.out.mkdir(parents=True, exist_ok=True)
    archive = options.out / f"kubectl-mora-v{version}.tar.gz"
    archive.write_bytes(packed(version))
    text = yaml.safe_dump(manifest(version, archive, options.url.rstrip("/"), options.homepage), sort_keys=False)
    (options.out / "mora.yaml").write_text(text, encoding="utf-8")
    print(archive, options.out / "mora.yaml", sep="\n")


def packed(version: str) -> bytes:
    """The archive: the script with its version, and the licence; without times and owners."""
    script = (HERE / "kubectl-mora").read_text(encoding="utf-8").replace("version=VERSION", f"version={version}")
    files = {"kubectl-mora": (script.encode(), 0o755), "LICENSE": ((ROOT / "LICENSE").read_bytes(), 0o644)}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), mode
            archive.addfile(about, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def manifest(version: str, archive: Path, url: str, homepage: str) -> dict[str, object]:
    """The manifest, as krew's index wants it."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    platforms = [
        {
            "selector": {"matchLabels": {"os": system}},
            "uri": f"{url}/{archive.name}",
            "sha256": digest,
            "bin": "kubectl-mora",
            "files": [{"from": "kubectl-mora", "to": "."}, {"from": "LICENSE", "to": "."}],
        }
        for system in SYSTEMS
    ]
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "mora"},
        "spec": {
            "version": f"v{version}",
            "homepage": homepage,
            "shortDescription": SHORT,
            "description": DESCRIPTION,
            "caveats": CAVEATS,
            "platforms": platforms,
        },
    }


if __name__ == "__main__":
    main()
