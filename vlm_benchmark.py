#!/usr/bin/env python3
"""Runs the program vlm-benchmark with the arguments given here, so that `python vlm_benchmark.py ...` works as ever.

It is looked for beside this file, in what cargo built here, where this Python installs programs, and on PATH.
"""
import os
import sys
import sysconfig

NAME = "vlm-benchmark"


def places():
    here = os.path.dirname(os.path.abspath(__file__))
    built = [os.path.join(here, "target", "release"), os.path.join(here, "bin")]
    installed = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", os.name + "_user")]
    return [here] + built + installed + os.environ.get("PATH", os.defpath).split(os.pathsep)


def main():
    for folder in places():
        program = os.path.join(folder, NAME)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            try:
                os.execv(program, [program] + sys.argv[1:])
            except OSError as error:
                sys.stderr.write("error: %s: %s; it must be built for this machine (%s)\n"
                                 % (program, error.strerror, os.uname()[4]))
                return 126
    sys.stderr.write("error: no program %s beside %s, where this Python installs programs or on PATH; "
                     "put it there, or pip install its wheel\n" % (NAME, os.path.abspath(__file__)))
    return 127


if __name__ == "__main__":
    sys.exit(main())
