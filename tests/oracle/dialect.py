"""The dialect hash as rules/README.md tells others to compute it, from a sample's capture and the sender's record.

Shares no code with the sensor. Usage: dialect.py README.md SAMPLE. Prints one JSON object a transaction.
"""

import email.parser
import hashlib
import json
import re
import struct
import sys

readme = open(sys.argv[1], encoding="utf-8").read()
sample = sys.argv[2]
section = readme.split("### The dialect hash")[1].split("\n### ")[0]
# The order of the traits, those left out, and the fields that count, in the words of the page.
order = re.findall(r"`([a-z-]+)`", readme.split("Traits for `dialect`:")[1].split("\n\n")[0])
left_out = re.findall(r"`([a-z-]+)`", section.split("without")[1].split("which depend")[0])
fields = re.findall(r"`([a-z-]+)`", section.split("only\n")[1].split("count;")[0])
version = re.search(r"1\. `([a-z0-9-]+)`", section)[1]


def dialect_hash(traits, names):
    traits = [trait for trait in order if trait in traits and trait not in left_out]
    seen = []
    for name in names:
        if name.lower() in fields and name.lower() not in seen:
            seen.append(name.lower())
    text = "".join(line + "\n" for line in (version, ",".join(traits), ":".join(seen)))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def address(raw):
    if len(raw) == 4:
        return ".".join(map(str, raw))
    import ipaddress

    return str(ipaddress.IPv6Address(raw))


def streams(path):
    """What each client wrote, by its ends: segments in the order of their sequence numbers."""
    data = open(path, "rb").read()
    order = "<" if data[0] in (0xD4, 0x4D) else ">"
    segments, at = {}, 24
    while at < len(data):
        length = struct.unpack(order + "I", data[at + 8 : at + 12])[0]
        frame, at = data[at + 16 : at + 16 + length], at + 16 + length
        ip = frame[14:]
        if frame[12:14] == b"\x08\x00":
            head, protocol = (ip[0] & 15) * 4, ip[9]
            total, src, dst = struct.unpack(">H", ip[2:4])[0], ip[12:16], ip[16:20]
        elif frame[12:14] == b"\x86\xdd":
            head, protocol = 40, ip[6]
            total, src, dst = 40 + struct.unpack(">H", ip[4:6])[0], ip[8:24], ip[24:40]
        else:
            continue
        if protocol != 6:
            continue
        tcp = ip[head:total]
        sport, dport, seq = struct.unpack(">HHI", tcp[:8])
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if payload:
            segments.setdefault((address(src), sport, address(dst), dport), {})[seq] = payload
    for ends, parts in segments.items():
        first = min(parts, key=lambda seq: (seq - next(iter(parts)) + 0x80000000) % 0x100000000)
        text, seq = b"", first
        while seq in parts:
            text, seq = text + parts[seq], (seq + len(parts[seq])) % 0x100000000
        yield ends, text


def messages(text):
    """Header blocks of the messages sent with DATA, by the number of the MAIL command before."""
    tx, at = -1, 0
    while at < len(text):
        end = text.find(b"\r\n", at)
        if end < 0:
            return
        line, at = text[at:end].upper(), end + 2
        if line.startswith(b"MAIL "):
            tx += 1
        elif line == b"DATA":
            stop = text.find(b"\r\n.\r\n", at - 2)
            if stop < 0:
                return
            yield tx, text[at : max(stop, at)]
            at = stop + 5
        elif line.startswith(b"BDAT"):
            return


truth = json.load(open(f"{sample}/truth.json", encoding="utf-8"))
record = {
    (entry["src"], entry["sport"], entry["dst"], entry["dport"], entry["tx"]): entry["dialect"]
    for entry in truth["transactions"]
}
for ends, text in streams(f"{sample}/trace.pcap"):
    for tx, message in messages(text):
        traits = record.get((*ends, tx))
        if traits is None:
            continue
        block = message.replace(b"\r\n", b"\n").split(b"\n\n")[0]
        names = email.parser.BytesHeaderParser().parsebytes(block + b"\n\n").keys()
        print(json.dumps({"at": [*map(str, ends), str(tx)], "hash": dialect_hash(traits, names)}))
