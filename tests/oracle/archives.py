"""Makes archives with Python's standard library and the packers of the system, and says what is in them: one JSON object
a line.

Each has `case` (its name), `file` (the attachment's name), `data` (base64), `text` (of the message), `members` as
[container..., name, size, sha256 or null] in order of the archive, null where the member cannot be opened, and `skipped`
instead of all but `case` where a packer is missing. Where files stand in the text itself, `raw` is that text (base64).
"""
import base64, binascii, bz2, gzip, hashlib, io, json, lzma, os, random, shutil, struct, subprocess, tarfile, tempfile, zipfile, zlib

RANDOM = random.Random(2004)
FILES = {
    "photos.jpg.exe": b"MZ" + bytes(12_830),
    "readme.txt": b"Hello\r\nthere\n" * 40,
    "noise.bin": RANDOM.randbytes(70_000),
    "empty": b"",
    "d\u00ebep/n\u00e4me.scr": b"MZ" + RANDOM.randbytes(300),
}


def member(path, data):
    return [*path, len(data), hashlib.sha256(data).hexdigest()]


def say(case, file, data, members, text="Hello"):
    print(json.dumps({"case": case, "file": file, "data": base64.b64encode(data).decode(), "text": text, "members": members}))


def skip(case, why):
    print(json.dumps({"case": case, "skipped": why}))


def tarred(format, names=FILES):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        directory = tarfile.TarInfo("empty folder")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    return out.getvalue()


class Stream(io.BytesIO):
    """Cannot go back, so that sizes must follow what they are the sizes of."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError


def zipped(names=FILES, method=zipfile.ZIP_DEFLATED, out=None, **more):
    out = out or io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in names.items():
            with archive.open(zipfile.ZipInfo(name) if not more.get("stream") else name, "w", force_zip64=bool(more.get("zip64"))) as entry:
                entry.write(data)
    return out.getvalue()


def all_of(outer, names=FILES):
    return [member([outer, name], data) for name, data in names.items()]


def library():
    program = FILES["photos.jpg.exe"]
    long = {"x" * 90 + "/" + "y" * 180 + ".exe": program}
    for name, format in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
        say(f"tar-{name}", "a.tar", tarred(format), all_of("a.tar"))
        if name != "ustar":
            say(f"tar-{name}-long", "a.tar", tarred(format, long), all_of("a.tar", long))
    tar = tarred(tarfile.GNU_FORMAT)
    for case, file, inner, pack in [
        ("gzip", "a.tar.gz", "a.tar", gzip.compress),
        ("bzip2", "a.tar.bz2", "a.tar", bz2.compress),
        ("xz", "a.txz", "a.tar", lzma.compress),
        ("xz-x86-filter", "a.tar.xz", "a.tar", lambda data: lzma.compress(data, filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}])),
        ("xz-crc32", "a.tar.xz", "a.tar", lambda data: lzma.compress(data, check=lzma.CHECK_CRC32)),
        ("xz-sha256", "a.tar.xz", "a.tar", lambda data: lzma.compress(data, check=lzma.CHECK_SHA256)),
    ]:
        say(f"tar-{case}", file, pack(tar), [member([file, inner], tar)] + [[file, *m] for m in all_of(inner)])
        twice = pack(program) + pack(program)
        for behind in [b"\n", b"\0" * 4 + b"junk"]:
            say(f"{case}-and-{len(behind)}", "p.exe", pack(program) + behind, [member(["p.exe", "p.exe"], program)])
        say(f"{case}-twice", "p.exe", twice, [member(["p.exe", "p.exe"], program * 2)])
    say("zip64", "a.zip", zipped(zip64=True), all_of("a.zip"))
    say("zip-prefix", "a.exe", b"MZ prefix" * 50 + zipped(), all_of("a.exe"))
    say("zip-no-magic", "a.dat", b"\x00\x01prefix" + zipped(), all_of("a.dat"))
    inner = bz2.compress(program)
    say("bzip2-in-zip", "a.zip", zipped({"in.exe.bz2": inner}), [member(["a.zip", "in.exe.bz2"], inner), member(["a.zip", "in.exe.bz2", "in.exe"], program)])
    # The unicode path field (APPNOTE.TXT, section 4.6.9), which Python does not write but, from 3.13 on, reads.
    name = "caf?.exe".encode()
    field = struct.pack("<BL", 1, zlib.crc32(name)) + "caf\u00e9.exe".encode()
    info = zipfile.ZipInfo(name.decode())
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, program)
    say("zip-unicode-path", "a.zip", out.getvalue(), [member(["a.zip", "caf\u00e9.exe"], program)])
    # A second archive appended to a first, whose directory knows only the second's members.
    first = zipped({"hidden.exe": program})
    first = first[: first.rfind(b"PK\x01\x02")]
    say("zip-unlisted", "a.zip", first + zipped({"seen.txt": b"seen"}), [member(["a.zip", "seen.txt"], b"seen"), member(["a.zip", "hidden.exe"], program)])


def tool(case, program, *commands, file, members, text="Hello", names=FILES, change=lambda data: data):
    """Runs a packer in a folder that holds the files; `@` stands for their names."""
    if not shutil.which(program):
        return skip(case, f"{program} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in names.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)
        for command in commands:
            words = [word for part in command for word in (list(names) if part == "@" else [part])]
            done = subprocess.run(words, cwd=folder, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
            if done.returncode:
                return skip(case, f"{words[0]} failed: {(done.stderr or done.stdout).decode(errors='replace')[-200:]}")
        with open(os.path.join(folder, file), "rb") as made:
            say(case, file, change(made.read()), members, text)


def closed(outer, names=FILES):
    return [[outer, name, len(data), None if data else hashlib.sha256(b"").hexdigest()] for name, data in names.items()]


def packers():
    program = {"photos.jpg.exe": FILES["photos.jpg.exe"], "readme.txt": FILES["readme.txt"]}
    sample = all_of("a.zip", program)
    for case, method in [("lzma2", "LZMA2"), ("lzma", "LZMA"), ("bzip2", "BZip2"), ("copy", "Copy")]:
        tool(f"7z-{case}", "7z", ["7z", "a", f"-m0={method}", "a.7z", "@"], file="a.7z", members=all_of("a.7z"))
    tool("7z-not-solid", "7z", ["7z", "a", "-ms=off", "a.7z", "@"], file="a.7z", members=all_of("a.7z"))
    tool("7z-plain-header", "7z", ["7z", "a", "-mhc=off", "a.7z", "@"], file="a.7z", members=all_of("a.7z"))
    tool("7z-bcj2", "7z", ["7z", "a", "-m0=BCJ2", "-m1=LZMA:d23", "-m2=LZMA:d19", "-m3=LZMA:d19", "-mb0:1", "-mb0s1:2", "-mb0s2:3", "a.7z", "@"], file="a.7z", members=all_of("a.7z"))
    tool("7z-best", "7z", ["7z", "a", "-mx=9", "a.7z", "@"], file="a.7z", members=all_of("a.7z"))
    tool("7z-encrypted", "7z", ["7z", "a", "-psecret", "a.7z", "readme.txt"], file="a.7z", members=closed("a.7z", {"readme.txt": FILES["readme.txt"]}))
    said = "For security reasons attached file is password protected. The password is 47286"
    command = ["7z", "a", "-p47286", "a.7z", *program]
    tool("7z-aes", "7z", command, file="a.7z", members=closed("a.7z", program))
    tool("7z-aes-said", "7z", command, file="a.7z", members=all_of("a.7z", program), text=said)
    tool("7z-aes-stored-said", "7z", ["7z", "a", "-m0=Copy", "-p47286", "a.7z", *program], file="a.7z", members=all_of("a.7z", program), text="One\nTwo\n" + said)
    for case, options in [("", []), ("-best", ["-19"]), ("-check", ["--check"]), ("-long", ["--long=24"])]:
        tool(f"zstd{case}", "zstd", ["zstd", "-q", *options, "noise.bin"], file="noise.bin.zst", members=[member(["noise.bin.zst", "noise.bin"], FILES["noise.bin"])])
    tool("zip", "zip", ["zip", "-q", "-r", "a.zip", "@"], file="a.zip", members=all_of("a.zip"))
    tool("zip-crypto", "zip", ["zip", "-q", "-P", "47286", "a.zip", *program], file="a.zip", members=closed("a.zip", program), text="nothing here")
    tool("zip-crypto-said", "zip", ["zip", "-q", "-P", "47286", "a.zip", *program], file="a.zip", members=sample, text=said)
    for bits in (128, 192, 256):
        command = ["7z", "a", "-tzip", f"-mem=AES{bits}", "-p47286", "a.zip", *program]
        tool(f"zip-aes{bits}", "7z", command, file="a.zip", members=closed("a.zip", program))
        tool(f"zip-aes{bits}-said", "7z", command, file="a.zip", members=sample, text=said)
    for method in ["Deflate64", "BZip2", "LZMA"]:
        command = ["7z", "a", "-tzip", f"-mm={method}"]
        tool(f"zip-7z-{method.lower()}", "7z", [*command, "a.zip", "@"], file="a.zip", members=all_of("a.zip"))
        # With LZMA the crate that decrypts would unpack with whatever window is asked for: such members stay closed.
        (opened, case) = (closed("a.zip", program), "encrypted") if method == "LZMA" else (sample, "said")
        tool(f"zip-7z-{method.lower()}-{case}", "7z", [*command, "-p47286", "a.zip", *program], file="a.zip", members=opened, text=said)
    # Streamed, so that no local header says how long its member is.
    for name, method in [("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)]:
        streamed = zipped(method=method, stream=True, out=Stream())
        say(f"zip-{name}-cut", "a.zip", streamed[: streamed.find(b"PK\x01\x02")], all_of("a.zip"))
    tool("zip-streamed-said", "zip", ["sh", "-c", "cat readme.txt | zip -q -P s3cr3t a.zip -"], file="a.zip", members=[member(["a.zip", "-"], FILES["readme.txt"])], text="pwd: s3cr3t")
    inner = zipped(program)
    tool("zip-in-7z", "7z", ["7z", "a", "a.7z", "in.zip", "b.txt"], file="a.7z", names={"b.txt": b"after", "in.zip": inner},
         members=[member(["a.7z", "in.zip"], inner), *[["a.7z", *m] for m in all_of("in.zip", program)], member(["a.7z", "b.txt"], b"after")])


def tnef(files, wide):
    """A winmail.dat by MS-OXTNEF, section 2.1.3."""
    def attribute(id, content, level=2):
        return struct.pack("<BLL", level, id, len(content)) + content + struct.pack("<H", sum(content) & 0xFFFF)

    def padded(value):
        return struct.pack("<L", len(value)) + value + bytes(-len(value) % 4)

    out = struct.pack("<LH", 0x223E9F78, 1) + attribute(0x00089006, struct.pack("<L", 0x10000), 1) + attribute(0x00069007, struct.pack("<LL", 1252, 0), 1)
    for name, data in files.items():
        value = (name + "\0").encode("utf-16-le") if wide else (name + "\0").encode("cp1252")
        properties = struct.pack("<HHL", 0x0003, 0x3705, 1) + struct.pack("<HHLL", 0x0102, 0x3702, 1, 3) + b"abc\0"
        properties += struct.pack("<HH", 0x0003, 0x8001) + bytes(16) + struct.pack("<L", 1) + padded("Nam\0".encode("utf-16-le")) + struct.pack("<L", 7)
        properties += struct.pack("<HHL", 0x001F if wide else 0x001E, 0x3707, 1) + padded(value)
        out += attribute(0x00069002, struct.pack("<HLLLL", 1, 0xFFFFFFFF, 0, 0, 0)[:14]) + attribute(0x00018010, b"SHORT~1.DAT\0")
        out += attribute(0x0006800F, data) + attribute(0x00069005, struct.pack("<L", 4) + properties)
    return out


def inside(case, text, files):
    print(json.dumps({"case": case, "raw": base64.b64encode(text).decode(), "members": [member([name], data) for name, data in files.items()]}))


def embedded():
    program, noise = FILES["photos.jpg.exe"][:200], FILES["noise.bin"][:3000]
    uu = lambda data: b"".join(binascii.b2a_uu(data[at:at + 45]) for at in range(0, len(data), 45)).decode()
    for case, text, files in [
        ("uuencode", f"Hello\n\nbegin 644 p.exe\n{uu(program)}`\nend\n\nbegin 600 n.bin\n{uu(noise)} \nend\n", {"p.exe": program, "n.bin": noise}),
        ("uuencode-backtick", f"begin 644 p.exe\n{uu(program).replace(' ', '`')}`\nend\n", {"p.exe": program}),
        ("uuencode-stripped", "begin 644 p.exe\n" + "\n".join(line.rstrip() for line in uu(program).split("\n")) + "\nend\n", {"p.exe": program}),
    ]:
        inside(case, text.replace("\n", "\r\n").encode(), files)


def yenc():
    data = FILES["noise.bin"][:3000] + bytes(range(256))
    out, column = bytearray(), 0
    for byte in data:
        code = (byte + 42) & 255
        piece = bytes([code]) if code not in (0, 10, 13, 61) else bytes([61, (code + 64) & 255])
        out += piece
        column += len(piece)
        if column >= 128:
            out, column = out + b"\r\n", 0
    text = b"=ybegin line=128 size=%d name=y enc.bin\r\n" % len(data) + bytes(out) + b"\r\n=yend size=%d crc32=%08x\r\n" % (len(data), zlib.crc32(data))
    inside("yenc", text, {"y enc.bin": data})


library()
packers()
program = {"photos.jpg.exe": FILES["photos.jpg.exe"], "readme.txt": FILES["readme.txt"], "caf\u00e9.scr": b"MZ"}
for wide in (False, True):
    say(f"tnef-{'wide' if wide else 'narrow'}", "winmail.dat", tnef(program, wide), all_of("winmail.dat", program))
inner = zipped(program)
say("zip-in-tnef", "winmail.dat", tnef({"in.zip": inner}, True), [member(["winmail.dat", "in.zip"], inner)] + [["winmail.dat", *m] for m in all_of("in.zip", program)])
embedded()
yenc()
