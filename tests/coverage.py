#!/usr/bin/env python3
"""coverage.py: what the tests run of the sources, from gcov's counters.

  tests/coverage.py BUILD [-v]     -v: the lines and branches that nothing ran

Line coverage is asked for crdt/ and the decoders, branch coverage for four
files that carry the merge: the goals below, exit code 1 if one is missed.

Left out, by these patterns, for no test can or should reach them:
  - asserts: INVARIANT(...)
  - arms where memory ran out: ENOMEM, err_nomem(), no_memory(), and the
    condition of an if or a loop that does nothing else. tests/crash/ fails
    the n-th allocation of each public call; which arm that is, is chance.
Branches of a condition of several lines count for the line gcov names.
"""
import gzip
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL = 95.0
DECODERS = """replication/link/frame.c replication/link/handshake.c
    replication/link/noise.c replication/link/channel.c
    replication/link/identity.c replication/message.c replication/clock_fp.c
    replication/relay/config.c cli/args.c lib/pack.c lib/record.c
    lib/bytes.c lib/dbfile.c""".split()
BRANCHES = "item clocks chunk_apply reconcile".split()
OUT = re.compile(r"INVARIANT\(|ENOMEM|err_nomem\(|no_memory\(")
TEST = re.compile(r"^\s*(\} else )?(if|while|for) \(|&&|\|\||\?")


def counters(build, top):
    """Of each source: {line: count}, {line: [counts of its branches]}."""
    files = {}
    with tempfile.TemporaryDirectory() as tmp:
        notes = [str(p.resolve()) for p in build.rglob("*.gcno")
                 if p.relative_to(build).parts[0] in
                 ("crdt", "replication", "lib", "cli")]
        subprocess.run(["gcov", "-b", "-c", "--json-format", *notes], cwd=tmp,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=True)
        for report in Path(tmp).glob("*.json.gz"):
            with gzip.open(report) as f:
                data = json.load(f)
            for source in data["files"]:
                path = Path(data["current_working_directory"])
                path = (path / source["file"]).resolve()
                name = source["file"]
                if path.is_absolute() and str(path).startswith(str(top)):
                    name = str(path.relative_to(top))
                if not name.endswith(".c"):
                    continue
                lines, branches = files.setdefault(name, ({}, {}))
                for line in source["lines"]:
                    no = line["line_number"]
                    lines[no] = lines.get(no, 0) + line["count"]
                    got = [b["count"] for b in line["branches"]
                           if not b["throw"]]
                    if got:
                        branches[no] = got
    return files


def left_out(text):
    """Numbers of the lines that do not count."""
    out = {i for i, line in enumerate(text, 1) if OUT.search(line)}
    for i in list(out):
        # the condition above an arm that is nothing but "no memory"
        up = i - 1
        while up > 0 and up > i - 5 and not re.search(r"[;{}]\s*$",
                                                      text[up - 1]):
            out.add(up)
            up -= 1
    return out


def share(part, whole):
    return 100.0 * part / whole if whole else 100.0


def main():
    build, top = Path(sys.argv[1]), Path(".").resolve()
    verbose = "-v" in sys.argv[2:]
    files = counters(build, top)
    sums = {"crdt/": [0, 0], "decoders": [0, 0]}
    missed = []
    print(f"{'source':<34} {'lines':>6} {'run':>7}  {'branches':>8} {'taken':>7}")
    for name in sorted(files):
        group = ("crdt/" if name.startswith("crdt/") else
                 "decoders" if name in DECODERS else None)
        if not group:
            continue
        lines, branches = files[name]
        text = Path(name).read_text().splitlines()
        if max(lines, default=0) > len(text):
            sys.exit(f"{name} has changed since it was built and run")
        out = left_out(text)
        ran = {no: c for no, c in lines.items() if no not in out}
        arms = [(no, c) for no, got in branches.items() if no not in out
                for c in got]
        hit, taken = sum(c > 0 for c in ran.values()), sum(
            c > 0 for _, c in arms)
        sums[group][0] += hit
        sums[group][1] += len(ran)
        print(f"{name:<34} {len(ran):>6} {share(hit, len(ran)):>6.1f}%"
              f"  {len(arms):>8} {share(taken, len(arms)):>6.1f}%")
        if Path(name).stem in BRANCHES and group == "crdt/":
            if share(taken, len(arms)) < GOAL:
                missed.append(f"branches of {name}")
        if verbose:
            for no in sorted(ran):
                if not ran[no]:
                    print(f"    {name}:{no}: not run: {text[no - 1].strip()}")
            for no in sorted({no for no, c in arms if not c and ran.get(no)}):
                print(f"    {name}:{no}: one way only: {text[no - 1].strip()}")
    for group, (hit, whole) in sums.items():
        print(f"lines of {group:<25} {whole:>6} {share(hit, whole):>6.1f}%")
        if share(hit, whole) < GOAL:
            missed.append(f"lines of {group}")
    for what in missed:
        print(f"under {GOAL:g} %: {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
