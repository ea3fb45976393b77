# SPDX-License-Identifier: BSD-3-Clause
"""Many replays in one process: each as if it were alone. (All other cases are replayed that way, too.)"""
import os
import re
import subprocess

from kit import C, V, Flow, check, equal, pcap


def capture(case, name, flows):
    scene = case.scene()
    for i in range(flows):
        flow = Flow(scene, client=C, server=V, cport=40000 + i).open()
        flow.send("c", "A", b"question")
    return case.file(name, pcap(scene.records["uplink"]))


def args(case, path, out, *more):
    return ["-c", case.find("ferry.yaml"), "--plugin-dir", case.plugin_dir, "--json", "--out",
            os.path.join(case.temporary.name, out), "--in", f"uplink={path}", *more]


def batch(case, *lines_of, end="\n"):
    text = "\n".join("".join(f"{arg}\n" for arg in args) for args in lines_of) + end
    return subprocess.run([case.program.path, "--batch"], input=text, capture_output=True, text=True,
                          timeout=120, check=False)


def out_of(case, name):
    with open(os.path.join(case.temporary.name, name, "v.pcap"), "rb") as file:
        return file.read()


def test_one_of_a_batch_gives_what_it_gives_alone(case):
    big, small = capture(case, "big.pcap", 40), capture(case, "small.pcap", 1)
    alone = [subprocess.run([case.program.path, *args(case, path, out)], capture_output=True, text=True,
                            timeout=60, check=True) for path, out in ((big, "b"), (small, "s"))]
    done = batch(case, args(case, big, "b1"), args(case, small, "s1"), args(case, big, "b2"))
    equal((done.returncode, re.findall(r"^= (\d+)$", done.stdout, re.M)), (0, ["0"] * 3), "exit codes")
    parts = re.split(r"^= \d+\n", done.stdout, flags=re.M)
    # Ids and the like are chances of a process; what is counted is not.
    def counted(text):
        return re.sub(r'"id": ?"?\w+"?', "", text.replace(case.temporary.name, ""))
    equal([counted(part) for part in parts[:3]],
          [counted(one.stdout) for one in (alone[0], alone[1], alone[0])], "summaries")
    equal([out_of(case, name) for name in ("b1", "s1", "b2")],
          [out_of(case, name) for name in ("b", "s", "b")], "what came out of v")


def test_one_that_fails_is_no_trouble_to_the_others(case):
    path = capture(case, "small.pcap", 1)
    bad = case.file("bad.yaml", "host: {name: s}\ncolour: red\n")
    done = batch(case, ["--nonsense"], args(case, path, "a"), args(case, "/nonexistent", "x"),
                 ["-c", bad, *args(case, path, "y")[2:]], args(case, path, "b", "--in", "nobody=" + path),
                 args(case, path, "c"), ["--help"])
    codes = re.findall(r"^= (\d+)$", done.stdout, re.M)
    equal(codes, ["2", "0", "4", "3", "1", "0", "0"], f"exit codes ({done.stderr[-600:]})")
    check("colour" in done.stderr and "nobody" in done.stderr, done.stderr)
    equal(out_of(case, "a"), out_of(case, "c"), "the two that went well")


def test_the_last_one_needs_no_empty_line_and_a_line_that_never_ends_is_refused(case):
    path = capture(case, "small.pcap", 1)
    done = batch(case, args(case, path, "a"), args(case, path, "b"), end="")
    equal((done.returncode, done.stdout.count("= 0")), (0, 2), "replays")
    done = batch(case, args(case, path, "c"), ["--in"] * 2000)
    equal((done.returncode, done.stdout.count("= 0")), (2, 1), "one, then the end")
    equal(batch(case, [], end="").returncode, 0, "none at all")
