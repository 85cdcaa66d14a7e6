"""Packs what build.sh built for one machine: a tar.gz and a wheel.

pack.py MACHINE DOCS OUT: MACHINE is x86_64 or aarch64, DOCS a folder with man pages, completions and licences (release.sh
makes it), OUT where the two go. The times in them are the last commit's, so that the same sources give the same bytes.
"""
import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("vlm-benchmark", "vlm-server")
DOCUMENTS = ("LICENSE", "README.md", "README.zh-CN.md", "METRICS.md", "CHANGELOG.md")
# PEP 600's name, and the older one that pip before 20.3 knows.
TAGS = "manylinux_2_17_{0}.manylinux2014_{0}"

METADATA = """\
Metadata-Version: 2.4
Name: vlm-benchmark
Version: {version}
Summary: Measures how fast and how right a vision-language model is served; with vlm-server, Qwen2-VL on the CPU
License-Expression: Apache-2.0
License-File: LICENSE
License-File: THIRD-PARTY-LICENSES.txt
Requires-Python: >=3.6
Description-Content-Type: text/markdown

{readme}"""

WHEEL = """\
Wheel-Version: 1.0
Generator: tools/release/pack.py
Root-Is-Purelib: false
"""


def put(source, target):
    """Copies a file or a folder, making the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def put_shared(share, docs):
    """What belongs under PREFIX/share: the model, man pages, completions where shells look for them."""
    put(ROOT / "models", share / "vlm-benchmark/models")
    put(ROOT / "examples", share / "vlm-benchmark/examples")
    for folder in ("man", "bash-completion", "zsh", "fish"):
        put(docs / "share" / folder, share / folder)


def archive(version, machine, docs, out, work):
    """One folder that runs wherever it is unpacked."""
    name = f"vlm-benchmark-{version}-linux-{machine}"
    top = work / name
    for program in PROGRAMS:
        put(built(machine) / program, top / "bin" / program)
    put_shared(top / "share", docs)
    for document in (*DOCUMENTS, "vlm_benchmark.py"):
        put(ROOT / document, top / document)
    put(docs / f"THIRD-PARTY-LICENSES-{machine}.txt", top / "THIRD-PARTY-LICENSES.txt")
    write_tar(top, out / f"{name}.tar.gz")


def write_tar(top, path):
    """The folder as tar.gz: in order, without owners."""
    def plain(info):
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = int(os.environ["SOURCE_DATE_EPOCH"])
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(top, top.name, filter=plain)


def wheel(version, machine, docs, out, work):
    """The same for pip: programs as scripts, the rest under the environment's share, vlm_benchmark.py as a module."""
    top = work / "wheel"
    data = top / f"vlm_benchmark-{version}.data"
    for program in PROGRAMS:
        put(built(machine) / program, data / "scripts" / program)
    put_shared(data / "data/share", docs)
    put(ROOT / "vlm_benchmark.py", top / "vlm_benchmark.py")
    info = top / f"vlm_benchmark-{version}.dist-info"
    put(ROOT / "LICENSE", info / "licenses/LICENSE")
    put(docs / f"THIRD-PARTY-LICENSES-{machine}.txt", info / "licenses/THIRD-PARTY-LICENSES.txt")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (info / "METADATA").write_text(METADATA.format(version=version, readme=readme), encoding="utf-8")
    tags = "".join(f"Tag: py3-none-{tag}\n" for tag in TAGS.format(machine).split("."))
    (info / "WHEEL").write_text(WHEEL + tags)
    # RECORD is written by it, and the tags become the file's name.
    subprocess.run([sys.executable, "-m", "wheel", "pack", "--dest-dir", str(out), str(top)], check=True)


def built(machine):
    return ROOT / f"target/{machine}-unknown-linux-gnu/dist"


def main(machine, docs, out):
    first = built(machine) / "vlm-benchmark"
    if not first.is_file():
        sys.exit(f"error: no {first}; run tools/release/build.sh {machine}")
    version = os.environ["VERSION"]
    with tempfile.TemporaryDirectory() as work:
        archive(version, machine, docs, out, pathlib.Path(work))
        wheel(version, machine, docs, out, pathlib.Path(work))


if __name__ == "__main__":
    if len(sys.argv) != 4 or not {"VERSION", "SOURCE_DATE_EPOCH"} <= set(os.environ):
        sys.exit("error: pack.py MACHINE DOCS OUT, with VERSION and SOURCE_DATE_EPOCH set; release.sh calls it so")
    main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
