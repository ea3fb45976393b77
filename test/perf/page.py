# SPDX-License-Identifier: BSD-3-Clause
"""The Markdown page of a run: the machine, ratios against their targets, every case, what is missing."""
from result import number

# ratio -> (at least or at most, target, what bounds it where it is missed)
TARGETS = {
    "ferry_vs_ovs_ct_vxlan_1k": (">=", 5, "see cycles/packet of both in the table of `path`"),
    "ferry_vs_ovs_ct_vxlan_16k": (">=", 5, "see cycles/packet of both in the table of `path`"),
    "ferry_vs_testpmd_5tswap_1k": (
        ">=", 0.6, "5tswap has no table, no tracking and no outer header; the rest of Ferry's "
        "cycles/packet is those stages (`perf record -t` of thread ferry-w0 tells them apart)"),
    "ferry_1m_vs_1k": (
        ">=", 0.5, "a million sessions and as many packets of the capture leave the caches: "
        "compare testpmd at 1M with itself at 1k, which has no sessions at all"),
    **{f"guest_ferry_vs_ovs_ct_{label}_{to}": (
        ">=", 2, "the VM's own core fills the rings: see `limited by` in the table of `guest`")
       for to in ("uplink", "second_vport") for label in ("1k", "16k")},
    "ferry_vs_ovs_cps": (">=", 3, "admission: see `open` in test/perf/budget.json"),
    "stream_vs_kernel_restore": (
        ">=", 20, "CPU-us/session of both hosts together against the cores there are"),
    "services_cost_1000": (
        "<=", 0.35, "translation and meters touch every packet: see `action.c`"),
    "cost_of_move": ("<=", 0.05, "cores share caches and memory: compare "
                     "`while a neighbour copies memory`, which is no copy of sessions at all"),
}
# (benchmark, case, unit) -> the same for what is no ratio.
CASE_TARGETS = {
    ("cps", "ferry 1 worker", "M connections per cpu-s"): (
        ">=", 2, "a SYN and an RST each: policy and plugins 22 % (rte_acl, one tuple at a time), "
        "table and memory of sessions 20 %, the rest in the stages of both packets (perf)"),
    ("stream", "stream 1M", "sessions/s"): (
        ">=", 2e6, "two cores carry both hosts, TLS and the lab's polling: CPU-us/session; half of "
        "the destination's is unpacking, policy and first touch of a session's lines (perf)"),
    ("stream", "final, 10k of 200k changed", "ms"): (
        "<=", 1, "the lab's one thread polls for all hosts: its round is in the figure"),
    ("memory", "one key, as the engine counts", "bytes/session"): (
        "<=", 256, "what a session and its keys take, over the load of the table"),
    ("memory", "with a NAT key, as the engine counts", "bytes/session"): (
        "<=", 256, "what a session and its keys take, over the load of the table"),
    ("outage", "added outage p50, move", "ms"): ("<=", 5, "compare with a pause alone"),
    ("outage", "added outage p99, move", "ms"): ("<=", 20, "compare with a pause alone"),
}


def reached(value, relation, target):
    return value >= target if relation == ">=" else value <= target


def target_row(name, value, target, limited_by=None):
    relation, wanted, bound = target
    if value is None:
        return f"| {name} | - | {relation} {number(wanted)} | not measured |"
    limit = f"limited by {limited_by}; " if limited_by else ""
    verdict = f"{limit}yes" if reached(value, relation, wanted) else f"{limit}**no**: {bound}"
    return f"| {name} | {number(value)} | {relation} {number(wanted)} | {verdict} |"


def find(results, benchmark, name, unit):
    return next((case for result in results if result["benchmark"] == benchmark
                 for case in result["cases"] if (case["name"], case["unit"]) == (name, unit)),
                None)


def targets(results, ratios):
    yield "| what | measured | target | reached |\n|---|---|---|---|"
    for key, target in TARGETS.items():
        yield target_row(f"`{key}`", ratios.get(key), target)
    for (benchmark, name, unit), target in CASE_TARGETS.items():
        case = find(results, benchmark, name, unit) or {}
        yield target_row(f"{benchmark}: {name}, {unit}", case.get("median"), target,
                         case.get("limited_by"))


def cases(result):
    yield "| case | unit | median | min | max | rounds | notes |\n|---|---|---|---|---|---|---|"
    for case in result["cases"]:
        notes = [f"limited by {case['limited_by']}"] if case["limited_by"] else []
        notes += [case["table"]] if case.get("table") else []
        if case.get("core_share", 1) < 0.9:
            notes.append(f"had its core for {case['core_share']:.0%} only")
        yield (f"| {case['name']} | {case['unit']} | {number(case['median'])} "
               f"| {number(case['min'])} | {number(case['max'])} | {case['rounds']} "
               f"| {'; '.join(notes)} |")


def page(machine, results, ratios):
    """The whole text."""
    lines = ["# Ferry, measured", "",
             "Made by `scripts/bench all`. Rates `per cpu-s` are per second of the worker's own CPU "
             "time, so that a neighbour on the core does not count; cycles are those of the "
             "constant time stamp counter.", "", "## Machine", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items()]
    lines += ["", "## Targets", "", *targets(results, ratios)]
    for result in results:
        lines += ["", f"## {result['benchmark']}", "", *cases(result)]
        lines += [""] * bool(result["left_out"])
        lines += [f"- left out: {gap['what']}: {gap['why']}" for gap in result["left_out"]]
    return "\n".join(lines) + "\n"
