#!/usr/bin/env python3
"""One table from the lines that the measurements left: table.py RESULTS.jsonl"""
import json
import sys


def cell(value, form="{:.3g}"):
    return form.format(value) if value is not None else "not yet run on a GPU"


def main():
    rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
    ceilings = next((r for r in rows if "two_to_one" in r), {})
    bandwidth, fma = ceilings.get("two_to_one"), {"f32": ceilings.get("fma32"), "f64": ceilings.get("fma64")}
    print("\nceilings: copy", cell(ceilings.get("copy")), "B/s; 2:1 read:write", cell(bandwidth), "B/s; FMA f32",
          cell(fma["f32"]), "flop/s, f64", cell(fma["f64"]), "flop/s")
    key = lambda r: tuple(r.get(k) for k in ("D", "M", "L", "N", "instances", "precision"))
    print(f"{'D,M,L,N x instances':28} {'':4} {'kernel':6} {'ms/step':>21} {'memory floor':>13} {'FMA floor':>10} "
          f"{'of floor':>9} {'jax':>9} {'torch':>9}")
    for floor in (r for r in rows if "floor_bytes" in r):
        match = lambda r: key(r) == key(floor)
        ours = next((r["seconds_per_step"] for r in rows if "candidate" in r and r["candidate"] < 0 and match(r)), None)
        peers = {name: next((r.get("seconds_per_step") for r in rows if r.get("peer") == name and "D" in r and match(r)), None)
                 for name in ("jax", "torch")}
        memory = floor["floor_bytes"] / bandwidth if bandwidth else None
        flops = floor["floor_flops"] / fma[floor["precision"]] if fma[floor["precision"]] else None
        share = max(memory, flops) / ours if ours and memory else None
        ratio = {name: f"{p / ours:.2f}x" if p and ours else "-" for name, p in peers.items()}
        ms = lambda s: "-" if s is None else f"{1e3 * s:.3g}"
        print(f"{'{D},{M},{L},{N} x {instances:.0f}'.format(**floor):28} {floor['precision']:4} {floor['kernel']:6} "
              f"{cell(ours and 1e3 * ours):>21} {ms(memory):>13} {ms(flops):>10} "
              f"{'-' if share is None else f'{100 * share:.0f}%':>9} {ratio['jax']:>9} {ratio['torch']:>9}")
    others = [r for r in rows if r.get("candidate", -1) >= 0]
    for r in others:
        print("kernel candidate {candidate} at {D},{M},{L},{N} x {instances} {precision}: {0:.3g} ms/step".format(
            1e3 * r["seconds_per_step"], **r))
    for r in rows:
        if "error" in r:
            print("{peer} at {D},{M},{L},{N} x {instances} {precision}: {error}".format(**r))


if __name__ == "__main__":
    main()
