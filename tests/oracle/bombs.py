"""Makes archives that unpack to more than anyone wants: one JSON object a line with `case`, `data` (base64) and `told`, the
anomaly that each must end with, or `skipped` where a packer is missing."""
import base64, bz2, gzip, io, json, lzma, os, random, shutil, subprocess, tarfile, tempfile, zipfile, zlib

RANDOM = random.Random(42)
ZEROS = bytes(16 << 20)
# Unpacks to some 60 times its size: below the ratio that tells a bomb.
PLAIN = b"".join(RANDOM.randbytes(400) * 60 for _ in range(4 << 20 >> 14))


def say(case, data, told):
    print(json.dumps({"case": case, "data": base64.b64encode(data).decode(), "told": told}))


def zipped(members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def by_tool(case, told, data, file, *command):
    if not shutil.which(command[0]):
        return print(json.dumps({"case": case, "skipped": f"{command[0]} is not installed"}))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "in"), "wb") as out:
            out.write(data)
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        with open(os.path.join(folder, file), "rb") as made:
            say(case, made.read(), told)


def large_window(packed):
    """An xz file that asks for a window of 4 GiB: the size's byte of its first block, and the checksum behind it."""
    end = 12 + (packed[12] + 1) * 4
    header = bytearray(packed[12:end - 4])
    header[header.index(b"\x21\x01") + 2] = 40
    return packed[:12] + bytes(header) + zlib.crc32(header).to_bytes(4, "little") + packed[end:]


def overlapping(data, count):
    """A zip whose directory names one member many times, under other names."""
    zip = zipped([("0000", data)])
    start = zip.rfind(b"PK\x01\x02")
    entry, end = zip[start:zip.rfind(b"PK\x05\x06")], zip[zip.rfind(b"PK\x05\x06"):]
    entries = b"".join(entry.replace(b"0000", b"%04d" % n) for n in range(count))
    sizes = count.to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little")
    return zip[:start] + entries + end[:8] + sizes + end[16:]


# Flat.
say("flat-zip", zipped([("zeros", ZEROS)]), "archive-bomb-ratio")
say("flat-gzip", gzip.compress(ZEROS), "archive-bomb-ratio")
say("flat-bzip2", bz2.compress(ZEROS), "archive-bomb-ratio")
say("flat-xz", lzma.compress(ZEROS), "archive-bomb-ratio")
by_tool("flat-zstd", "archive-bomb-ratio", ZEROS, "in.zst", "zstd", "-q", "in")
by_tool("flat-7z", "archive-bomb-ratio", ZEROS, "a.7z", "7z", "a", "a.7z", "in")
by_tool("flat-7z-bzip2", "archive-bomb-ratio", ZEROS, "a.7z", "7z", "a", "-m0=bzip2", "a.7z", "in")
# Nested, so that each level looks harmless.
inner = zipped([(f"{n}", bytes(1 << 20)) for n in range(150)])
say("nested-zip", zipped([(f"{n}.zip", inner) for n in range(10)], zipfile.ZIP_STORED), "archive-too-large")
say("nested-tar-xz", lzma.compress(tarred([("in.gz", gzip.compress(ZEROS))])), "archive-bomb-ratio")
# The same bytes again and again.
say("overlap-zip", overlapping(PLAIN, 900), "archive-members-overlap")
# Many.
say("count-zip", zipped([(f"{n}", b"") for n in range(20_000)]), "archive-too-many-members")
say("count-tar", tarred([(f"{n}", b"") for n in range(5_000)]), "archive-too-many-members")
# Deep.
for case, wrap in [("zip", lambda data: zipped([("a", data)])), ("gzip", gzip.compress), ("xz", lzma.compress), ("tar", lambda data: tarred([("a", data)]))]:
    data = b"x"
    for _ in range(12):
        data = wrap(data)
    say(f"depth-{case}", data, "archive-too-deep")
# Slow: nothing but the cost of unpacking tells them.
say("time-gzip", gzip.compress(PLAIN * 20, 1), "archive-too-large")
say("time-bzip2", bz2.compress(b"".join(RANDOM.choices([b"one ", b"two ", b"three ", b"four "], k=6_500_000)), 9), "archive-too-large")
say("time-xz", lzma.compress(PLAIN * 10, preset=0), "archive-too-large")
# Windows that would take gigabytes.
say("window-xz", large_window(lzma.compress(b"x" * 1000)), None)
say("window-zstd", bytes.fromhex("28b52ffd00b8") + bytes(40), None)
