"""Records what ONNX Runtime answers, as the expected values of the tests beside this folder.

    python oracle.py              everything: cases/, and iris.csv.gz where the model exists
    python oracle.py cases        cases/ alone
    python oracle.py iris         iris.csv.gz alone
    python oracle.py --check      the same into a temporary folder; fails if anything differs from what is here

The versions in requirements.txt, fixed seeds and a single thread make every run write the same bytes.
"""

import argparse
import gzip
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import ensembles
import exports
import iris
import operators
from record import record

HERE = Path(__file__).resolve().parent


def main():
    """Parses the command line and runs what it asks for; returns the exit code."""
    options = parse()
    if options.check:
        return check(options)
    generate(options, options.out)
    return 0


def parse():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", "cases", "iris"], default="all", help="what to record")
    parser.add_argument("--check", action="store_true", help="compare with the recorded files instead of writing them")
    parser.add_argument("--model", type=Path, default=iris.MODEL, help="the Iris model (default: artifacts/iris.onnx)")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder of the recorded files (default: this one)")
    return parser.parse_args()


def generate(options, folder):
    """Writes the wanted part into `folder`. Recording everything passes over an Iris model that is not there."""
    if options.part != "iris":
        write_cases(folder / "cases")
    if options.part == "iris" or (options.part == "all" and options.model.exists()):
        iris.record_iris(options.model, folder)


def write_cases(folder):
    """Writes every case into `folder`, in place of what it held."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names, sources = set(), Counter()
    for family in (ensembles, operators, exports):
        for case in family.cases():
            if case.name in names:
                raise ValueError(f"two cases are called {case.name}")
            names.add(case.name)
            sources[record(case, folder)] += 1
    told = ", ".join(f"{count} as {source} answers" for source, count in sources.items())
    print(f"{len(names)} cases in {folder}: {told}")


def check(options):
    """Records into a temporary folder and reports each file that is missing, not expected, or different."""
    with tempfile.TemporaryDirectory() as name:
        generate(options, Path(name))
        fresh, kept = contents(Path(name), options.part), contents(options.out, options.part)
    differing = sorted(path for path in fresh.keys() | kept.keys() if fresh.get(path) != kept.get(path))
    for path in differing:
        state = "is not recorded" if path not in kept else "is no longer made" if path not in fresh else "differs"
        print(f"{path} {state}", file=sys.stderr)
    return 1 if differing else 0


def contents(folder, part):
    """Reads the recorded files of a part by path; compressed ones as their text, for zlib's sake, which may change."""
    files = {}
    if part != "iris":
        files = {f"cases/{path.name}": path.read_bytes() for path in (folder / "cases").glob("*")}
    table = folder / "iris.csv.gz"
    if part != "cases" and table.exists():
        files[table.name] = gzip.decompress(table.read_bytes())
    return files


if __name__ == "__main__":
    sys.exit(main())
