"""What the archives of today's malspam hold besides zip and 7z: disc images, cabinets, RAR, ARJ, LZH, ACE. As archives.py,
whose lines these follow.

Where Debian has no packer that may be installed by its free rules, the bytes are written here, by the published format, and
bsdtar (libarchive), another implementation, must list the same names and sizes.
"""


def witnessed(case, file, data, members, text="Hello"):
    """Says an archive that bsdtar reads as we mean it."""
    if not shutil.which("bsdtar"):
        return skip(case, "bsdtar is not installed")
    with tempfile.NamedTemporaryFile(suffix=file) as out:
        out.write(data)
        out.flush()
        listed = subprocess.run(["bsdtar", "-tvf", out.name], capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    seen = [line.split(None, 8) for line in listed.stdout.decode().splitlines()]
    seen = [[int(fields[4]), fields[8]] for fields in seen if not fields[0].startswith("d")]
    meant = [[size, name] for _, name, size, _ in members]
    assert seen == meant, f"{case}: bsdtar sees {seen}, not {meant}: {listed.stderr.decode()}"
    say(case, file, data, members, text)


def discs():
    flat = {name: data for name, data in FILES.items() if "/" not in name}
    deep = ["-graft-points", *[f"{name}={name}" for name in FILES]]
    for case, options, names in [
        ("iso-joliet", ["-J", *deep], FILES),
        ("iso-rock-ridge", ["-r", *deep], FILES),
        ("iso-both", ["-J", "-r", *deep], FILES),
        ("iso-long-names", ["-l", "-allow-multidot", "-allow-lowercase", *flat], flat),
    ]:
        tool(case, "genisoimage", ["genisoimage", "-quiet", "-o", "a.iso", *options], file="a.iso", members=all_of("a.iso", names))
    # Many files: the directory takes several sectors, and records do not cross their borders.
    many = {f"file number {n:03} of many.txt": b"%d" % n for n in range(150)}
    tool("iso-many", "genisoimage", ["genisoimage", "-quiet", "-J", "-o", "a.iso", "@"], file="a.iso", names=many, members=all_of("a.iso", many))
    # A file that Joliet does not show, as a dropper would hide it from whoever looks with Windows.
    hidden = {"hidden.exe": FILES["photos.jpg.exe"], "seen.txt": b"seen"}
    tool("iso-hidden", "genisoimage", ["genisoimage", "-quiet", "-l", "-allow-lowercase", "-J", "-hide-joliet", "hidden.exe", "-o", "a.iso", "@"], file="a.iso", names=hidden, members=all_of("a.iso", hidden))
    inner = zipped({"in.exe": FILES["photos.jpg.exe"]})
    tool("zip-in-iso", "genisoimage", ["genisoimage", "-quiet", "-J", "-o", "a.iso", "@"], file="a.iso", names={"in.zip": inner},
         members=[member(["a.iso", "in.zip"], inner), ["a.iso", *member(["in.zip", "in.exe"], FILES["photos.jpg.exe"])]])


def cabinets():
    long = {**FILES, "long.txt": b"".join(b"line %d of some text\r\n" % n for n in range(9_000))}
    tool("cab-mszip", "gcab", ["gcab", "-c", "-z", "a.cab", "@"], file="a.cab", names=long, members=all_of("a.cab", long))
    tool("cab-stored", "gcab", ["gcab", "-c", "a.cab", "@"], file="a.cab", names=long, members=all_of("a.cab", long))
    # Folder of type 3: LZX.
    def lzx(data):
        data = bytearray(data)
        data[42:44] = struct.pack("<H", 3 | 15 << 8)
        return bytes(data)
    small = {"photos.jpg.exe": FILES["photos.jpg.exe"]}
    tool("cab-lzx", "gcab", ["gcab", "-c", "a.cab", "@"], file="a.cab", names=small, members=[["a.cab", name, len(data), None] for name, data in small.items()], change=lzx)


def arjs():
    plain = {name: data for name, data in FILES.items() if "/" not in name}
    tool("arj-stored", "arj", ["arj", "a", "-y", "-m0", "a.arj", "@"], file="a.arj", names=plain, members=all_of("a.arj", plain))
    # What does not shrink is stored; the rest is listed.
    packed = [["a.arj", name, len(data), hashlib.sha256(data).hexdigest() if name in ("noise.bin", "empty") else None] for name, data in plain.items()]
    tool("arj-packed", "arj", ["arj", "a", "-y", "a.arj", "@"], file="a.arj", names=plain, members=packed)
    readme = {"readme.txt": FILES["readme.txt"]}
    tool("arj-garbled", "arj", ["arj", "a", "-y", "-gsecret", "a.arj", "@"], file="a.arj", names=readme, members=closed("a.arj", readme))


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def lzhs():
    program = {"photos.jpg.exe": FILES["photos.jpg.exe"], "readme.txt": FILES["readme.txt"]}
    # Made by jlha 0.1.6 from these two files: level 2, -lh5-.
    lh5 = base64.b64decode(
        "MAAtbGg1LRUAAAAgMgAAlVoGayAC93oABQAAgkoRAAFwaG90b3MuanBnLmV4ZQAAADYwaGD/kOGlKtM7gF0AAAAAAAAOLAAtbGg1LRsAAAAIAgAA"
        "lVoGayACdygABQAAobMNAAFyZWFkbWUudHh0AAAADzptbX+j8GiZoIwMDggjbewUEkbuFtGC+dAA")
    witnessed("lzh-lh5", "a.lzh", lh5, all_of("a.lzh", program))

    def level_0(name, data):
        body = b"-lh0-" + struct.pack("<LLLBB", len(data), len(data), 0x5A21_6B21, 0x20, 0) + bytes([len(name)]) + name + struct.pack("<H", crc16(data))
        return bytes([len(body), sum(body) & 0xFF]) + body + data

    def level_1(name, folder, data):
        extra = [b"\2" + folder.replace(b"/", b"\xff"), b"\1" + name]
        chain = b"".join(struct.pack("<H", len(part) + 2) + part for part in extra) + b"\0\0"
        # The first length stands in the header itself.
        rest = chain[2:]
        body = b"-lh0-" + struct.pack("<LLLBB", len(data) + len(rest), len(data), 0x5A21_6B21, 0x20, 1) + b"\0" + struct.pack("<H", crc16(data)) + b"M" + chain[:2]
        return bytes([len(body), sum(body) & 0xFF]) + body + rest + data

    stored = b"".join(level_0(name.encode(), data) for name, data in program.items()) + b"\0"
    witnessed("lzh-level-0", "a.lzh", stored, all_of("a.lzh", program))
    inside = {"in/side.exe": FILES["photos.jpg.exe"]}
    witnessed("lzh-level-1", "a.lzh", level_1(b"side.exe", b"in/", inside["in/side.exe"]) + b"\0", all_of("a.lzh", inside))


def rar_4(files, method=0x30, flags=0, main_flags=0):
    """By RARLAB's TECHNOTE.TXT of version 4: name in bytes, content."""
    def block(kind, flags, body):
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head

    out = b"Rar!\x1a\x07\0" + block(0x73, main_flags, bytes(6))
    for name, data in files:
        more = 0x200 if b"\0" in name else 0
        body = struct.pack("<LLBLLBBHL", len(data), len(data), 2, zlib.crc32(data), 0x5A21_6B21, 20, method, len(name), 0x20) + name
        out += block(0x74, 0x8000 | flags | more, body) + data
    return out + block(0x7B, 0x4000, b"")


def vint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def rar_5(files, method=0, extra=b"", first=b""):
    """By RARLAB's technote on version 5."""
    def block(kind, flags, body, extra=b"", data=None):
        flags |= (1 if extra else 0) | (0 if data is None else 2)
        head = vint(kind) + vint(flags) + (vint(len(extra)) if extra else b"") + (b"" if data is None else vint(len(data))) + body + extra
        head = vint(len(head)) + head
        return struct.pack("<L", zlib.crc32(head)) + head + (data or b"")

    out = b"Rar!\x1a\x07\1\0" + first + block(1, 0, vint(0))
    for name, data in files.items():
        name = name.encode()
        body = vint(6) + vint(len(data)) + vint(0x20) + struct.pack("<LL", 0x5A21_6B21, zlib.crc32(data)) + vint(method << 7) + vint(0) + vint(len(name)) + name
        out += block(2, 0, body, extra, data)
    return out + block(5, 0, vint(0))


def rars():
    plain = {name: data for name, data in FILES.items() if name.isascii()}
    raw = [(name.encode(), data) for name, data in plain.items()]
    witnessed("rar4-stored", "a.rar", rar_4(raw), all_of("a.rar", plain))
    program = FILES["photos.jpg.exe"]
    bill = {"invoice.pdf.exe": program}
    # Packed: the names are what malspam is known by. Its bytes here are no packed data, and nobody unpacks them.
    listed = [["a.rar", "invoice.pdf.exe", len(program), None]]
    witnessed("rar4-packed", "a.rar", rar_4([(b"invoice.pdf.exe", program)], method=0x33), listed)
    witnessed("rar4-encrypted", "a.rar", rar_4([(b"invoice.pdf.exe", program)], method=0x33, flags=4), listed)
    # Names in Unicode: low bytes as they are, one with its high byte, one with both, three more as they are.
    packed = b"caf_x.exe\0" + bytes([0x04, 0b00_00_00_01]) + b"caf\x3f" + bytes([0b10_11_00_00]) + b"\xe9\0" + bytes([2])
    unicode = {"caf\u043f\u00e9.exe": program}
    witnessed("rar4-unicode", "a.rar", rar_4([(packed, program)]), all_of("a.rar", unicode))
    inner = zipped(bill)
    say("zip-in-rar", "a.rar", rar_4([(b"in.zip", inner)]), [member(["a.rar", "in.zip"], inner), ["a.rar", *member(["in.zip", "invoice.pdf.exe"], program)]])
    witnessed("rar5-stored", "a.rar", rar_5(FILES), all_of("a.rar"))
    witnessed("rar5-packed", "a.rar", rar_5(bill, method=3), listed)
    record = vint(1) + vint(0) + vint(0) + b"\x0f" + bytes(32)
    encrypted = rar_5(bill, method=3, extra=vint(len(record)) + record)
    say("rar5-encrypted", "a.rar", encrypted, listed)


def aces():
    """By acefile's description of the format."""
    def block(kind, flags, body):
        head = struct.pack("<BH", kind, flags) + body
        crc = zlib.crc32(head) ^ 0xFFFFFFFF
        return struct.pack("<HH", crc & 0xFFFF, len(head)) + head

    def ace(files, packing=0, flags=0):
        out = block(0, 0x8000, b"**ACE**" + bytes([20, 20, 2, 0]) + bytes(4) + bytes(8) + b"\0")
        for name, data in files.items():
            body = struct.pack("<LLLLLBBHHH", len(data), len(data), 0x5A21_6B21, 0x20, zlib.crc32(data) ^ 0xFFFFFFFF, packing, 3, 10, 0x4554, len(name)) + name.encode()
            out += block(1, 1 | flags, body) + data
        return out

    plain = {name: data for name, data in FILES.items() if name.isascii()}
    say("ace-stored", "a.ace", ace(plain), all_of("a.ace", plain))
    bill = {"invoice.pdf.exe": FILES["photos.jpg.exe"]}
    say("ace-packed", "a.ace", ace(bill, packing=2), [["a.ace", "invoice.pdf.exe", 12832, None]])
    say("ace-encrypted", "a.ace", ace(bill, packing=2, flags=0x4000), [["a.ace", "invoice.pdf.exe", 12832, None]])


discs()
cabinets()
arjs()
lzhs()
rars()
aces()
