#!/usr/bin/env python3
"""Prints what the mail servers stored: one JSON line for each file in their Maildirs.

Usage: stored.py FOLDER     (FOLDER/SERVER/mail is SERVER's Maildir)
"""

import email.header
import hashlib
import json
import pathlib
import re
import sys

SERVERS = {"postfix": "10.78.0.25", "exim": "10.78.0.26", "open": "10.78.0.27"}


def fields(head):
    """Header fields in order, unfolded."""
    for line in re.split(r"\n(?![ \t])", head.decode("utf-8", "surrogateescape")):
        name, _, value = line.partition(":")
        yield name.lower(), value.replace("\n", "").strip()


def facts(server, data):
    head, _, body = data.partition(b"\n\n")
    found = list(fields(head))
    first = lambda *names: next((value for name, value in found if name in names), "")
    received = first("received")
    return {
        "server": SERVERS[server],
        # The server that stored it says under which addresses it came, and by which way.
        "rcpt": first("envelope-to", "x-original-to", "delivered-to"),
        "mail_from": first("return-path").strip("<>"),
        "wire": "10.78.0." in received,
        "tls": bool(re.search(r"with e?smtps", received, re.IGNORECASE)),
        "message_id": first("message-id"),
        "subject": str(email.header.make_header(email.header.decode_header(first("subject")))),
        "body_md5": hashlib.md5(body.replace(b"\n", b"\r\n")).hexdigest(),
    }


for name in SERVERS:
    for path in sorted(pathlib.Path(sys.argv[1], name, "mail", "new").iterdir()):
        print(json.dumps(facts(name, path.read_bytes())))
