"""Messages as mailers, worms and those who hide things write them."""
import base64, binascii, gzip, io, lzma, struct, tarfile, zipfile, zlib
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart

from sessions import HELLO, QUIT, mail
from wire import Talk, capture

EXE = b"MZ" + bytes(300)
TEXT = b"plain words\n"
LNK = b"\x4c\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46" + bytes(56)
HEAD = b"From: a@b.example\nSubject: x\n"


def b64(data):
    return base64.encodebytes(data)


def multipart(*parts, kind=b"mixed", head=HEAD, boundary=b"b"):
    body = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    return head + b"MIME-Version: 1.0\nContent-Type: multipart/" + kind + b"; boundary=" + boundary + b"\n\n" + body + b"--" + boundary + b"--\n"


def attached(name, data, more=b""):
    return more + b"Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=" + name + b"\n\n" + b64(data)


def zipped(members, comment=b"", method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.comment = comment
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2003, 10, 31, 12, 0, 0)), data, method)
    return out.getvalue()


def zip_crypto(name, data, password):
    """PKWARE's APPNOTE, section 6.1."""
    keys = [0x12345678, 0x23456789, 0x34567890]
    table = [zlib.crc32(bytes([n])) ^ 0xFF000000 ^ 0xFFFFFFFF for n in range(256)]
    step = lambda crc, byte: (crc >> 8) ^ CRC[(crc ^ byte) & 0xFF]

    def update(byte):
        keys[0] = step(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = step(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    crc, out = zlib.crc32(data), bytearray()
    for byte in bytes(11) + bytes([crc >> 24]) + data:
        low = (keys[2] | 2) & 0xFFFF
        out.append(byte ^ ((low * (low ^ 1)) >> 8 & 0xFF))
        update(byte)
    fields = struct.pack("<HHHHHLLLHH", 10, 1, 0, 0, 0x2F5F, crc, len(out), len(data), len(name), 0)
    central = b"PK\x01\x02\x14\0" + fields + bytes(14) + name
    local = b"PK\x03\x04" + fields + name + bytes(out)
    return local + central + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local), 0)


def crc_entry(n):
    for _ in range(8):
        n = (n >> 1) ^ (0xEDB88320 if n & 1 else 0)
    return n


CRC = [crc_entry(n) for n in range(256)]


def uu(name, data):
    lines = [binascii.b2a_uu(data[at:at + 45]) for at in range(0, len(data), 45)]
    return b"begin 644 " + name + b"\n" + b"".join(lines) + b"`\nend\n"


def tnef(name, data):
    """MS-OXTNEF, section 2.1.3."""
    attribute = lambda level, kind, body: struct.pack("<BLL", level, kind, len(body)) + body + struct.pack("<H", sum(body) & 0xFFFF)
    return b"\x78\x9f\x3e\x22\1\0" + attribute(1, 0x00089006, b"\0\0\1\0") + attribute(2, 0x00069002, bytes(14)) + attribute(2, 0x00018010, name + b"\0") + attribute(2, 0x0006800F, data)


def udf_only():
    """ECMA-167, part 2, section 8 and 9.1: a recognition sequence of BEA01, NSR02, TEA01, and nothing of ISO 9660."""
    image = bytearray(300 * 2048)
    for at, name in enumerate((b"BEA01", b"NSR02", b"TEA01")):
        image[(16 + at) * 2048:(16 + at) * 2048 + 7] = b"\0" + name + b"\1"
    return bytes(image[:64 << 10])


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def lzh(name, data, crc):
    body = b"-lh0-" + struct.pack("<LLLBB", len(data), len(data), 0x5A216B21, 0x20, 0) + bytes([len(name)]) + name + struct.pack("<H", crc)
    return bytes([len(body), sum(body) & 0xFF]) + body + data + b"\0"


def iso(files):
    """ECMA-119 with one directory."""
    record = lambda name, at, size, flags=0: bytes([33 + len(name) + (len(name) + 1) % 2, 0]) + struct.pack("<L", at) + struct.pack(">L", at) + struct.pack("<L", size) + struct.pack(">L", size) + bytes(7) + bytes(
        [flags, 0, 0]) + struct.pack("<H", 1) + struct.pack(">H", 1) + bytes([len(name)]) + name + bytes((len(name) + 1) % 2)
    at, directory, content = 20, record(b"\0", 19, 2048, 2) + record(b"\1", 19, 2048, 2), b""
    for name, data in files:
        directory += record(name + b";1", at, len(data))
        blocks = -(-len(data) // 2048)
        content, at = content + data.ljust(blocks * 2048, b"\0"), at + blocks
    volume = bytearray(2048)
    volume[:7], volume[128:130] = b"\1CD001\1", struct.pack("<H", 2048)
    volume[156:190] = record(b"\0", 19, 2048, 2)
    return bytes(16 * 2048) + bytes(volume) + b"\xffCD001\1".ljust(2048, b"\0") + bytes(2048) + directory.ljust(2048, b"\0") + content


def cases():
    made = []

    def case(name, message, files=(), subject="x", line=b"\r\n", **expected):
        message = message.replace(b"\n", line) if line != b"\n" and b"\r\n" not in message else message
        stuffed = b"".join(b"." + one if one.startswith(b".") else one for one in message.splitlines(keepends=True)) if b"\r\n" in message else message
        talk = Talk(sport=20_000 + len(made)).play(HELLO + mail(message=stuffed, end=b"" if stuffed.endswith(b"\n.\r\n") else b".\r\n" if stuffed.endswith(b"\n") else b"\r\n.\r\n") + QUIT)
        made.append((name, capture(talk.frames()), {"smtp": [{"mail_from": "a@b.example", "subject": subject}], "files": list(files), **expected}))

    exe = ("a.exe", EXE)

    # The structure of a message.
    inner = multipart(attached(b"a.exe", EXE), head=b"")
    case("multipart-that-is-itself-base64", HEAD + b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n" + b64(inner.split(b"\n\n", 1)[1]), [exe])
    case("multipart-in-quoted-printable", HEAD + b"Content-Type: multipart/mixed; boundary=\"=b\"\nContent-Transfer-Encoding: quoted-printable\n\n--=3Db\n"
         + attached(b"a.exe", EXE).replace(b"=", b"=3D") + b"\n--=3Db--\n", [exe])
    case("multipart-said-to-be-base64-and-plain", multipart(attached(b"a.exe", EXE)).replace(b"MIME-Version: 1.0", b"Content-Transfer-Encoding: base64"), [exe])
    case("blank-line-before-the-headers", b"\n" + multipart(attached(b"a.exe", EXE)), [exe])
    case("blank-lines-before-the-headers-of-a-part", multipart(b"\n" + attached(b"a.exe", EXE)), [])
    case("two-content-types", multipart(b"Content-Type: text/plain\nContent-Type: application/octet-stream; name=a.exe\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n" + b64(EXE)),
         [exe], anomalies=["mime-header-repeated"])
    case("two-content-types-of-the-message", HEAD + b"Content-Type: text/plain\n" + multipart(attached(b"a.exe", EXE), head=b""), [exe], anomalies=["mime-header-repeated"])
    case("two-encodings", multipart(b"Content-Transfer-Encoding: 7bit\n" + attached(b"a.exe", EXE)), [exe], anomalies=["mime-header-repeated"])
    case("two-encodings-the-other-way", multipart(attached(b"a.exe", EXE).replace(b"\n\n", b"\nContent-Transfer-Encoding: 7bit\n\n", 1)), [exe], anomalies=["mime-header-repeated"])
    case("two-dispositions", multipart(b"Content-Disposition: inline\n" + attached(b"a.exe", EXE)), [exe], anomalies=["mime-header-repeated"])
    case("the-same-header-twice", multipart(b"Content-Transfer-Encoding: BASE64\n" + attached(b"a.exe", EXE)), [exe], no_anomalies=["mime-header-repeated"])
    case("folded-at-once", HEAD + b"Content-Type:\n multipart/mixed;\n\tboundary =\n \"b\"\n\n--b\n" + attached(b"a.exe", EXE) + b"\n--b--\n", [exe])
    case("space-before-the-colon", multipart(attached(b"a.exe", EXE).replace(b": ", b" : ")), [exe])
    case("line-without-a-colon", HEAD + b"this is no header\n" + multipart(attached(b"a.exe", EXE), head=b""), [exe], anomalies=["mail-header-malformed"])
    case("two-boundaries", HEAD + b"Content-Type: multipart/mixed; boundary=b; boundary=c\n\n--b\n" + attached(b"a.exe", EXE) + b"\n--b--\n", [exe])
    case("boundary-in-pieces", HEAD + b"Content-Type: multipart/mixed; boundary*0=\"b\"; boundary*1=c\n\n--bc\n" + attached(b"a.exe", EXE) + b"\n--bc--\n", [exe])
    case("boundary-with-a-comment", HEAD + b"Content-Type: multipart/mixed (hi); (there) boundary=b (you)\n\n--b\n" + attached(b"a.exe", EXE) + b"\n--b--\n", [exe])
    case("boundary-in-single-quotes", HEAD + b"Content-Type: multipart/mixed; boundary='b'\n\n--'b'\n" + attached(b"a.exe", EXE) + b"\n--'b'--\n", [exe])
    case("nested-with-the-same-boundary", multipart(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + attached(b"a.exe", EXE)), [exe])
    case("text-after-the-end", multipart(attached(b"a.exe", EXE)) + b"epilogue\n--b\n" + attached(b"b.exe", EXE) + b"\n--b--\n", [exe, ("b.exe", EXE)], anomalies=["mime-part-after-close"])
    case("alternative-with-a-program", multipart(b"Content-Type: text/plain\n\nhi", attached(b"a.exe", EXE), kind=b"alternative"), [exe])
    case("same-name-twice", multipart(attached(b"a.exe", EXE), attached(b"a.exe", TEXT)), [exe, ("a.exe", TEXT)])
    forwarded = multipart(attached(b"a.exe", EXE), head=b"Subject: inner\nFrom: i@n.example\n", boundary=b"i")
    case("message-within", multipart(b"Content-Type: message/rfc822\n\n" + forwarded), [("", None), exe])
    case("message-within-in-base64", multipart(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + b64(forwarded)), [("", None), exe])
    case("message-as-an-attached-file", multipart(attached(b"a.eml", forwarded)), [("a.eml", forwarded), exe])
    case("digest", multipart(b"\n" + forwarded.rstrip(), b"\n" + forwarded.rstrip(), kind=b"digest"), [("", None), exe, ("", None), exe])
    case("delivery-report", multipart(b"Content-Type: text/plain\n\nfailed", b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n", b"Content-Type: message/rfc822\n\n" + forwarded, kind=b"report"),
         [("", None), ("", None), exe])
    case("no-mime-at-all", HEAD + b"\nhello\n" + uu(b"a b.exe", EXE) + b"bye\n", [("a b.exe", EXE)])
    case("header-alone", HEAD, [])
    case("lone-attachment-is-the-message", HEAD + attached(b"a.exe", EXE), [exe])
    case("lone-returns", multipart(attached(b"a.exe", EXE)).replace(b"\n", b"\r") + b"\r\n", [exe], line=b"\n")
    case("eight-bits-in-a-header", HEAD.replace(b"x", "Grüße".encode()) + b"\nhi\n", subject="Grüße")
    case("eight-bits-of-latin-1-in-a-header", HEAD.replace(b"x", "Grüße".encode("latin-1")) + b"\nhi\n", subject="Grüße")
    case("nul-in-a-header-and-a-body", multipart(attached(b"a.exe", EXE)).replace(b"Subject: x", b"Subject: x\nX-Odd: \0y"), [exe])
    case("a-very-long-header", b"Received: " + b"x" * 100_000 + b"\n" + multipart(attached(b"a.exe", EXE)), [exe])
    case("a-thousand-headers", b"".join(b"X-%d: y\n" % n for n in range(3_000)) + multipart(attached(b"a.exe", EXE)), [exe])

    # Transfer encodings.
    spoilt = b64(EXE).replace(b"A", b"A!", 3).replace(b"\n", b" \n", 1)
    case("base64-with-junk", multipart(attached(b"a.exe", EXE).replace(b64(EXE), spoilt)), [exe])
    case("base64-one-letter-a-line", multipart(attached(b"a.exe", EXE).replace(b64(EXE), b"\n".join(bytes([c]) for c in b64(EXE) if c != 10) + b"\n")), [exe])
    case("base64-in-pieces", multipart(attached(b"a.exe", EXE).replace(b64(EXE), base64.b64encode(EXE[:100]) + b"\n" + base64.b64encode(EXE[100:]) + b"\n")), [exe])
    case("base64-url-safe", multipart(attached(b"f", b"\xfb\xff\xfe" * 20).replace(b"+", b"-").replace(b"\n//", b"\n__")), [("f", None)])
    case("encoding-in-quotes", multipart(attached(b"a.exe", EXE).replace(b": base64", b": \"base64\"")), [exe])
    case("binary-with-line-ends", multipart(b"Content-Transfer-Encoding: binary\nContent-Disposition: attachment; filename=f\n\na\0b\n"), [("f", b"a\0b\r\n")])
    case("uuencode-within-html", multipart(b"Content-Type: text/html\n\n<pre>\n" + uu(b"a.exe", EXE) + b"</pre>"), [])
    case("quoted-printable-broken", multipart(b"Content-Transfer-Encoding: quoted-printable\nContent-Disposition: attachment; filename=f\n\na=4=zz=\n=41 =\nb="), [("f", b"a=4=zzA b")])

    # Names.
    for name, field, shown in [
        ("continuation-missing", b"filename*0=\"a\"; filename*2=\".exe\"", "a.exe"),
        ("continuation-twice", b"filename*0=\"a\"; filename*0=\"b\"; filename*1=\".exe\"", "a.exe"),
        ("continuation-backwards", b"filename*2=e; filename*1=x; filename*0=\"a.e\"", "a.exe"),
        ("continuation-and-plain", b"filename=b.txt; filename*0=\"a\"; filename*1=\".exe\"", "a.exe"),
        ("continuation-with-leading-zero", b"filename*00=\"a\"; filename*01=\".exe\"", "a.exe"),
        ("percent-path", b"filename*=utf-8''..%2F..%2Fa.exe", "../../a.exe"),
        ("percent-latin-1", b"filename*=iso-8859-1'en'%A3.exe", "\u00a3.exe"),
        ("percent-no-charset", b"filename*=a%2Eexe", "a.exe"),
        ("percent-in-quotes", b"filename*=\"utf-8''a%2Eexe\"", "a.exe"),
        ("percent-broken", b"filename*=utf-8''a%2Eex%e", "a.ex%e"),
        ("percent-mixed", b"filename*0*=utf-8''%61; filename*1=\"%2E\"; filename*2*=%65xe", "a%2Eexe"),
        ("word-in-quotes", b"filename=\"=?utf-8?B?YS5leGU=?=\"", "a.exe"),
        ("word-without-quotes", b"filename==?utf-8?Q?a.exe?=", "a.exe"),
        ("two-words", b"filename=\"=?utf-8?Q?a?= =?utf-8?Q?.exe?=\"", "a.exe"),
        ("word-split-in-a-character", b"filename=\"=?utf-8?B?4oKs4o==?= =?utf-8?B?gqwuZXhl?=\"", None),
        ("word-in-continuations", b"filename*0=\"=?utf-8?B?YS5l\"; filename*1=\"eGU=?=\"", "a.exe"),
        ("twice", b"filename=a.exe; filename=b.txt", "a.exe"),
        ("no-semicolon", b"filename=\"a.exe\" size=3", "a.exe"),
        ("quote-never-closed", b"filename=\"a.exe", "a.exe"),
        ("escaped-quotes", b"filename=\"a\\\"b.exe\"", "a\"b.exe"),
        ("empty-parameters", b";; ;filename=a.exe;;", "a.exe"),
        ("upper-case", b"FILENAME=a.exe", "a.exe"),
        ("utf-8-raw", "filename=\"\u0444.exe\"".encode(), "\u0444.exe"),
        ("rtl", "filename*=utf-8''a%E2%80%AEgpj.exe".encode(), "a\u202egpj.exe"),
    ]:
        part = b"Content-Transfer-Encoding: base64\nContent-Disposition: attachment; " + field + b"\n\n" + b64(EXE)
        case("name-" + name, multipart(part), [(shown, EXE)] if shown else [(None, None)] if False else [("\u20ac\u20ac.exe", EXE)])

    # Charsets.
    for charset in ("utf-7", "utf-16", "koi8-r", "iso-2022-jp", "gb18030", "windows-1255"):
        word = {"iso-2022-jp": "\u5199\u771f", "gb18030": "\u5199\u771f", "koi8-r": "\u0444", "windows-1255": "\u05d0"}.get(charset, "\u00e9")
        encoded = base64.b64encode(word.encode(charset))
        case("subject-in-" + charset, b"From: a@b.example\nSubject: =?" + charset.upper().encode() + b"?b?" + encoded + b"?=\n\nx\n", subject=word)
    case("subject-with-language", b"Subject: =?utf-8*en?q?a=C3=A9?=\n\nx\n", subject="a\u00e9")

    # What is in files.
    case("smime-opaque", HEAD + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n" + attached(b"smime.p7m", bytes.fromhex("308006092a864886f70d010703a080") + bytes(50)),
         [("smime.p7m", None)], kinds=["pkcs7"])
    case("pgp-encrypted", multipart(b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n", b"Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n\nhQ==\n-----END PGP MESSAGE-----\n",
         kind=b"encrypted; protocol=\"application/pgp-encrypted\""), [("", None), ("encrypted.asc", None)], kinds=["text", "pgp"])
    case("winmail-within-a-message", multipart(b"Content-Type: message/rfc822\n\n" + multipart(attached(b"winmail.dat", tnef(b"a.exe", EXE)), head=b"Subject: i\n", boundary=b"i")),
         [("", None), ("winmail.dat", tnef(b"a.exe", EXE)), exe])
    locked = zipped([("inner.zip", zip_crypto(b"a.exe", EXE, b"73519"))])
    case("password-in-html-outside", multipart(b"Content-Type: text/html\n\n<p>The <b>password</b> is <font color=red>73519</font>", attached(b"o.zip", locked)),
         [("o.zip", locked), ("inner.zip", zip_crypto(b"a.exe", EXE, b"73519")), exe], anomalies=["archive-password-in-text"])
    late = zip_crypto(b"a.exe", EXE, b"s3cret")
    case("password-behind-the-archive", multipart(attached(b"o.zip", late), b"Content-Type: text/plain\n\nPassword: s3cret"), [("o.zip", late), exe], anomalies=["archive-password-in-text"])
    for extension, part in (("docm", "word/vbaProject.bin"), ("xlsm", "xl/vbaProject.bin"), ("odt", "Basic/Standard/Module1.xml")):
        first = [("mimetype", b"application/vnd.oasis.opendocument.text")] if extension == "odt" else [("[Content_Types].xml", b"<Types/>")]
        document = zipped([*first, (part, b"x" * 50)], method=zipfile.ZIP_STORED)
        case("macros-in-" + extension, multipart(attached(b"a." + extension.encode(), document)), [("a." + extension, document), (first[0][0], first[0][1]), (part, b"x" * 50)], anomalies=["office-macro"])
    image = iso([(b"A.LNK", LNK), (b"B.EXE", EXE)])
    case("iso-with-lnk", multipart(attached(b"a.iso", image)), [("a.iso", image), ("A.LNK", LNK), ("B.EXE", EXE)], kinds=["iso", "lnk", "pe"])
    case("udf-alone", multipart(attached(b"a.iso", udf_only())), [("a.iso", udf_only())], kinds=["udf"], anomalies=["archive-not-opened"])
    for name, data, kind in [
        (b"a.html", b"<!-- x --><html><script>1</script>", "html"), (b"a.one", bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(20), "onenote"), (b"a.js", b"var x = WScript.CreateObject('x');\n", "text"),
        (b"a.txt", b"#!/bin/sh\necho\n", "script"), (b"a.txt", b"@echo off\r\ndir\r\n", "script"), (b"a.txt", b"\xef\xbb\xbf#!/usr/bin/env python\n", "script"), (b"a.wsf", b"<job><script language=VBScript>x</script></job>", "script"),
        (b"a.txt", b"\r\n@ECHO OFF\r\ndir\r\n", "script"), (b"a.hta", b"<html><head><hta:application id=x></head>", "hta"), (b"a.txt", b"On Error Resume Next\r\nSet x = CreateObject(\"WScript.Shell\")\r\n", "script"),
        (b"a.url", b"[InternetShortcut]\r\nURL=file://x.example/a.exe\r\n", "url"), (b"a.txt", b"<?xml version=\"1.0\"?>\n<package><job id=x><script>1</script></job></package>", "script"), (b"a.reg", b"Windows Registry Editor Version 5.00\r\n", "reg"),
        (b"a.txt", "On Error Resume Next\r\n".encode("utf-16"), "script"), (b"a.php", b"<?php echo 1;", "script"), (b"a.vhd", b"conectix" + bytes(600), "vhd"), (b"a.vhdx", b"vhdxfile" + bytes(600), "vhd"),
        (b"a.rtf", b"{\\rt\x00", "rtf"), (b"a.pdf", b"junk\n%PDF-1.4\n", "pdf"), (b"a.exe", b"MZ", "pe"),
    ]:
        case(f"kind-of-{len(made)}-{kind}", multipart(attached(name, data)), [(name.decode(), data)], kinds=[kind])
    case("lzh", multipart(attached(b"a.lzh", lzh(b"a.exe", EXE, crc16(EXE)))), [("a.lzh", lzh(b"a.exe", EXE, crc16(EXE))), exe], no_anomalies=["archive-checksum-differs"])
    case("lzh-with-a-wrong-checksum", multipart(attached(b"a.lzh", lzh(b"a.exe", EXE, 1))), [("a.lzh", lzh(b"a.exe", EXE, 1)), exe], anomalies=["archive-checksum-differs"])
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        info = tarfile.TarInfo("d/a.exe")
        info.size = len(EXE)
        archive.addfile(info, io.BytesIO(EXE))
    case("tar-in-gzip", multipart(attached(b"a.tgz", tar.getvalue())), [("a.tgz", tar.getvalue()), ("a.tar", None), ("d/a.exe", EXE)])
    case("xz", multipart(attached(b"a.exe.xz", lzma.compress(EXE))), [("a.exe.xz", lzma.compress(EXE)), exe])
    sfx = EXE + zipped([("b.exe", EXE)])
    case("program-with-a-zip-behind", multipart(attached(b"a.exe", sfx)), [("a.exe", sfx), ("b.exe", EXE)])
    picture = b"\xff\xd8\xff\xe0" + bytes(40) + zipped([("b.exe", EXE)])
    case("picture-with-a-zip-behind", multipart(attached(b"a.jpg", picture)), [("a.jpg", picture), ("b.exe", EXE)])
    two = zipped([("a.txt", TEXT)]) + zipped([("b.exe", EXE)])
    case("zip-behind-a-zip", multipart(attached(b"a.zip", two)), [("a.zip", two), ("b.exe", EXE), ("a.txt", TEXT)])
    return made
