"""Writes the licences of every library from a registry that is in the programs, with their texts, and what there is to say of
Rust's own library, to stdout.

licenses.py TARGET: `cargo tree` says what is built in, `cargo metadata` where its sources lie.
"""
import json
import pathlib
import subprocess
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def cargo(*words):
    return subprocess.run(["cargo", *words], check=True, stdout=subprocess.PIPE).stdout.decode()


def built_in(target):
    """(name, version) of every library that is linked into the programs, ours left out."""
    words = ["tree", "--locked", "--package", "bench", "--package", "serve", "--target", target]
    lines = cargo(*words, "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}").splitlines()
    # "serde v1.0.228", "serde v1.0.228 (*)", "wire v0.1.0 (/folder) (*)"
    parts = [line.split() for line in lines if line and "(/" not in line]
    return sorted({(part[0], part[1].removeprefix("v")) for part in parts})


def texts(folder):
    """The files of a library that look like its licence."""
    files = [file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(NAMES)]
    return {file.name: file.read_text(errors="replace").strip() for file in sorted(files)}


def main(target):
    packages = json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    known = {(package["name"], package["version"]): package for package in packages}
    seen = {}
    print("Libraries within vlm-benchmark and vlm-server, and their licences. A text that several share stands once.")
    print("Rust's standard library is in them too: copyright The Rust Project Contributors, MIT or Apache-2.0, whose texts stand below.")
    for key in built_in(target):
        package = known[key]
        print(f"\n{'=' * 78}\n{key[0]} {key[1]}: {package['license']}\n{package['repository'] or ''}".rstrip())
        files = texts(pathlib.Path(package["manifest_path"]).parent)
        if not files:
            print("--- its package holds no text")
        for name, text in files.items():
            here = f"{name} of {key[0]} {key[1]}"
            first = seen.setdefault("".join(text.split()), here)
            print(f"\n--- {name}\n\n{text}" if first == here else f"--- {name}: as {first}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("error: licenses.py TARGET, for instance x86_64-unknown-linux-gnu")
    main(sys.argv[1])
