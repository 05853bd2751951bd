#!/usr/bin/env python3
"""Picks the inputs worth keeping, from what libFuzzer's -set_cover_merge noted of each (its -merge_control_file).

    python3 tests/fuzz/pick.py CONTROL_FILE KEPT_FOLDER COUNT BYTES

Prints paths. Those in KEPT_FOLDER stay, whatever they reach; of the others as many as COUNT, of BYTES together, each time the
one that reaches most that no other does, for its size.
"""

import heapq, pathlib, sys

# An input of no bytes is not free: it is run with every test.
OVERHEAD = 400


def read(control):
    """Path, size and edges of each input."""
    lines = control.read_text(errors="surrogateescape").splitlines()
    paths = lines[2 : 2 + int(lines[0])]
    sizes, edges = {}, {}
    for line in lines[2 + len(paths) :]:
        kind, number, *rest = line.split(" ")
        if kind == "STARTED":
            sizes[int(number)] = int(rest[0])
        elif kind == "FT":
            edges[int(number)] = frozenset(map(int, rest))
    return [(path, sizes[n], edges[n]) for n, path in enumerate(paths) if n in sizes and n in edges]


def pick(inputs, kept, most, most_bytes):
    reached = set().union(*(edges for path, _, edges in inputs if pathlib.Path(path).parent == kept))
    # What an input adds can only become less, so the best of the last look is looked at first.
    heap = [(-len(edges) / (size + OVERHEAD), path, size, edges) for path, size, edges in inputs]
    heapq.heapify(heap)
    while heap and most:
        _, path, size, edges = heapq.heappop(heap)
        edges = edges - reached
        worth = -len(edges) / (size + OVERHEAD)
        if not edges or size > most_bytes:
            continue
        if heap and worth > heap[0][0]:
            heapq.heappush(heap, (worth, path, size, edges))
            continue
        reached |= edges
        most, most_bytes = most - 1, most_bytes - size
        yield path


if __name__ == "__main__":
    control, kept, most, most_bytes = sys.argv[1:]
    for path in pick(read(pathlib.Path(control)), pathlib.Path(kept), int(most), int(most_bytes)):
        print(path)
