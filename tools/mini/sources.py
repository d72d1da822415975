"""Which files do the training sequences come from? Each package is fetched once and checked by its SHA-256."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A file in a published package. kind: `pypi` (source distribution) or `debian`; member: the path in it."""

    kind: str
    package: str
    version: str
    file: str
    sha256: str
    member: str
    licence: str


PROTEINS = Source(
    "pypi",
    "p-scldata",
    "2026.2.0",
    "p_scldata-2026.2.0.tar.gz",
    "2e7c8a3991b9aea334ac583c36e6610f8a41324d9a5ecc5a10415b9591d743e4",
    "p_scldata-2026.2.0/scldata/data/scl2205.csv",
    "MIT; sequences and locations: UniProt, CC BY 4.0",
)
LOCATIONS = replace(PROTEINS, member="p_scldata-2026.2.0/scldata/data/labels.json", licence="MIT")
SPLITS = replace(LOCATIONS, member="p_scldata-2026.2.0/scldata/data/splits.json")
ORCHIDS = Source(
    "pypi",
    "biopython",
    "1.88",
    "biopython-1.88.tar.gz",
    "9aaa31c0bda4d059f7b2ee00bfdb5cbb73ade3057aa4b737a7cc0187091d071a",
    "biopython-1.88/Doc/examples/ls_orchid.gbk",
    "Biopython licence",
)
CHLOROPLAST = replace(ORCHIDS, member="biopython-1.88/Tests/GenBank/NC_000932.gb")
HAIRPINS = Source(
    "debian",
    "seqkit-examples",
    "2.3.1+ds-1",
    "seqkit-examples_2.3.1+ds-1_all.deb",
    "7d83f680f20b4ad6ac76b36f7a651301e0ce567d1a874df18287ec4abc012c52",
    "usr/share/doc/seqkit-examples/tests/hairpin.fa.gz",
    "MIT; sequences: miRBase",
)
RIBOSOMAL = Source(
    "debian",
    "microbiomeutil-data",
    "20101212+dfsg1-5",
    "microbiomeutil-data_20101212+dfsg1-5_all.deb",
    "972d5d0c8d3323571c8918d03709eff4fbd28719c3c805f539ef6ee2b8554925",
    "usr/share/microbiomeutil-data/RESOURCES/rRNA16S.gold.fasta",
    "BSD-3-Clause",
)
FAMILIES = {
    family: Source(
        "debian",
        "hmmer-examples",
        "3.3.2+dfsg-1",
        "hmmer-examples_3.3.2+dfsg-1_all.deb",
        "6786e1e2862f4649ec9216316406b1ecd4e552c220abd26a091281287013b3bc",
        f"usr/share/doc/hmmer/examples/{member}",
        "GPL-3; sequences: Pfam, CC0, and UniProt, CC BY 4.0",
    )
    for family, member in {
        "globin": "tutorial/globins45.fa",
        "Pkinase": "tutorial/Pkinase.sto",
        "fn3": "tutorial/fn3.sto",
        "RRM_1": "testsuite/RRM_1.sto.gz",
        "SMC_N": "testsuite/SMC_N.sto.gz",
        "LuxC": "testsuite/LuxC.sto.gz",
        "Patched": "testsuite/Patched.sto.gz",
    }.items()
}


def read(source: Source, folder: Path) -> bytes:
    """Return the bytes of a source's file.

    The package is kept in `folder`; on a machine without network access, copy it there by hand. Raises RuntimeError if
    the package cannot be fetched or has another SHA-256.
    """
    package = folder / source.file
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("Fetching %s %s", source.package, source.version)
        _fetch(source, folder)
    found = hashlib.sha256(package.read_bytes()).hexdigest()
    if found != source.sha256:
        raise RuntimeError(
            f"{package} has the SHA-256 {found}, expected {source.sha256}. Replace it with {source.package} "
            f"{source.version} and run again."
        )
    if source.kind == "debian":
        archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
        return _member(tarfile.open(fileobj=io.BytesIO(archive)), f"./{source.member}")
    return _member(tarfile.open(package), source.member)


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    with archive:
        opened = archive.extractfile(name)
        if opened is None:
            raise RuntimeError(f"The package has no file {name}; see tools/mini/sources.py")
        return opened.read()


def _fetch(source: Source, folder: Path) -> None:
    if source.kind == "debian":
        command = ["apt-get", "download", f"{source.package}={source.version}"]
    else:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary", ":all:", f"{source.package}=={source.version}"),
        ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / source.file).exists():
        raise RuntimeError(
            f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}\nFetch {source.file} on another machine and "
            f"copy it to {folder}."
        )
