#!/usr/bin/env python3
"""Sends letters by many clients to three mail servers, and keeps the record of what was sent and answered.

Usage: send.py ROUND FOLDER     (a round is a number: it seeds the letters and names the senders)

The record, FOLDER/sent.jsonl, has one line a transaction; FOLDER/sessions.jsonl one line a session in TLS.
"""

import concurrent.futures
import json
import os
import random
import smtplib
import socket
import ssl
import subprocess
import sys
import threading

from letters import CRLF, KINDS, Writer

SERVERS = {"postfix": "10.78.0.25", "exim": "10.78.0.26", "open": "10.78.0.27"}
# Those that can serve TLS: OpenSMTPD 6.8 with OpenSSL 3 cannot (OpenSMTPD issue 1171); it can as a client.
TLS = ("postfix", "exim")
PATIENCE = 60
LOCK = threading.Lock()


class Plan:
    """One transaction to be: a letter, its envelope, and whether it will be taken back."""

    def __init__(self, letter, server, recipients, sender, reset=False):
        self.letter, self.server, self.recipients, self.sender, self.reset = letter, server, recipients, sender, reset


class Records:
    """What was sent, as the sender saw it."""

    def __init__(self, folder):
        self.folder = folder

    def sent(self, client, plan, tls, answers, outcome, **more):
        record = {
            "client": client, "server": SERVERS[plan.server], "tls": tls, "mail_from": plan.sender,
            "accepted": [rcpt for rcpt, code in answers if code < 400],
            "rejected": [[rcpt, code] for rcpt, code in answers if code >= 400],
            "outcome": outcome, **plan.letter.facts(), **more,
        }
        self.append("sent.jsonl", record)

    def session(self, client, server):
        self.append("sessions.jsonl", {"client": client, "server": SERVERS[server]})

    def append(self, name, record):
        with LOCK, open(os.path.join(self.folder, name), "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def parameters(letter):
    return (" BODY=8BITMIME" if letter.eight_bit else "") + (" SMTPUTF8" if letter.utf8 else "")


def stuffed(data):
    data = data if data.endswith(CRLF) else data + CRLF
    return (b"." if data.startswith(b".") else b"") + data.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def outcome(answers, code=250, reset=False):
    """How a transaction ended: one of which every recipient was refused is no more after that."""
    if not any(code < 400 for _, code in answers):
        return "rejected"
    if reset:
        return "reset"
    return "accepted" if code < 400 else "rejected"


# --- clients -----------------------------------------------------------------------------------------------------


def by_smtplib(records, server, plans, tls=None):
    """Python's own client, a command at a time, several transactions a session."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls == "implicit":
        client = smtplib.SMTP_SSL(SERVERS[server], 465, "client.living.test", context=context, timeout=PATIENCE)
    else:
        client = smtplib.SMTP(SERVERS[server], 25, "client.living.test", timeout=PATIENCE)
    with client:
        client.ehlo()
        if tls == "starttls":
            client.starttls(context=context)
            client.ehlo()
        if tls:
            records.session("smtplib", server)
        for plan in plans:
            client.command_encoding = "utf-8" if plan.letter.utf8 else "ascii"
            client.docmd(f"MAIL FROM:<{plan.sender}>{parameters(plan.letter)}")
            answers = [(rcpt, client.docmd(f"RCPT TO:<{rcpt}>")[0]) for rcpt in plan.recipients]
            if plan.reset or not any(code < 400 for _, code in answers):
                client.rset()
                records.sent("smtplib", plan, bool(tls), answers, outcome(answers, reset=plan.reset), unsent=True)
                continue
            code, _ = client.data(plan.letter.data)
            records.sent("smtplib", plan, bool(tls), answers, outcome(answers, code))


class Line:
    """A connection by hand, for what smtplib does not do."""

    def __init__(self, server, seed):
        self.random = random.Random(seed)
        self.socket = socket.create_connection((SERVERS[server], 25), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.reply()
        self.send(b"EHLO by-hand.living.test\r\n")
        self.reply()

    def send(self, data, pieces=False):
        """Sends bytes; in pieces, cut anywhere."""
        while data:
            cut = self.random.choice([1, 2, 7, 100, 1000, 5000]) if pieces else len(data)
            self.socket.sendall(data[:cut])
            data = data[cut:]

    def reply(self):
        while True:
            line = self.reader.readline()
            if not line or line.startswith(b"421"):
                raise ConnectionError(f"closed by the server: {line!r}")
            if line[3:4] != b"-":
                return int(line[:3])

    def commands(self, plan):
        commands = [f"MAIL FROM:<{plan.sender}>{parameters(plan.letter)}"]
        commands += [f"RCPT TO:<{rcpt}>" for rcpt in plan.recipients]
        return [command.encode() + CRLF for command in commands]

    def quit(self):
        self.send(b"QUIT\r\n")
        self.reply()
        self.socket.close()


def by_pipeline(records, server, plans):
    """Commands without waiting (RFC 2920), cut into segments anywhere."""
    line = Line(server, plans[0].letter.number)
    for plan in plans:
        last = b"RSET\r\n" if plan.reset else b"DATA\r\n"
        line.send(b"".join(line.commands(plan)) + last, pieces=True)
        line.reply()
        answers = [(rcpt, line.reply()) for rcpt in plan.recipients]
        code = line.reply()
        if plan.reset:
            records.sent("pipeline", plan, False, answers, outcome(answers, reset=True), unsent=True)
            continue
        if code != 354:
            records.sent("pipeline", plan, False, answers, "rejected", unsent=True)
            line.send(b"RSET\r\n")
            line.reply()
            continue
        line.send(stuffed(plan.letter.data), pieces=len(plan.letter.data) < 20_000)
        code = line.reply()
        records.sent("pipeline", plan, False, answers, outcome(answers, code))
    line.quit()


def by_chunks(records, server, plans):
    """BDAT (RFC 3030): all in one go or chunk by chunk, chunks of any size, the last one sometimes empty."""
    line = Line(server, plans[0].letter.number)
    for plan in plans:
        rest, chunks = plan.letter.data, []
        while rest:
            size = line.random.choice([1, 80, 999, 4096, 30_000, 100_000])
            chunks.append(rest[:size])
            rest = rest[size:]
        if not chunks or line.random.random() < 0.3:
            chunks.append(b"")
        frames = [b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if n + 1 == len(chunks) else b"", chunk)
                  for n, chunk in enumerate(chunks)]
        commands = line.commands(plan)
        if plan.reset:
            # One chunk, and then it is thought better of.
            line.send(b"".join(commands))
            line.reply()
            answers = [(rcpt, line.reply()) for rcpt in plan.recipients]
            line.send(b"BDAT 11\r\nSubject: a\n" + b"RSET\r\n")
            line.reply(), line.reply()
            records.sent("chunks", plan, False, answers, outcome(answers, reset=True), unsent=True)
        elif line.random.random() < 0.5:
            line.send(b"".join(commands + frames), pieces=len(plan.letter.data) < 20_000)
            line.reply()
            answers = [(rcpt, line.reply()) for rcpt in plan.recipients]
            codes = [line.reply() for _ in frames]
            code = codes[-1]
            records.sent("chunks", plan, False, answers, outcome(answers, code), bdat=True)
        else:
            answers = []
            for command in commands:
                line.send(command)
                answers.append(line.reply())
            answers = list(zip(plan.recipients, answers[1:]))
            for frame in frames:
                line.send(frame)
                code = line.reply()
            records.sent("chunks", plan, False, answers, outcome(answers, code), bdat=True)
        if not plan.reset and code >= 400:
            # RFC 3030, section 2: what a refused chunk leaves behind is not known otherwise.
            line.send(b"RSET\r\n")
            line.reply()
    line.quit()


def by_program(name, command):
    """A client that is a program and reads the letter from standard input."""

    def send(records, server, plans, tls=None):
        for plan in plans:
            letter = plan.letter.data.replace(CRLF, b"\n")
            # swaks adds a line end to whatever it is given.
            letter = letter.removesuffix(b"\n") if name == "swaks" else letter
            done = subprocess.run(command(plan, tls), input=letter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=2 * PATIENCE, check=False)
            refused = [rcpt for rcpt in plan.recipients if not rcpt.startswith("ok")]
            answers = [(rcpt, 550 if rcpt in refused else 250) for rcpt in plan.recipients]
            if done.returncode != 0 and not refused:
                raise RuntimeError(f"{name}: {done.stdout.decode(errors='replace')}")
            if tls:
                records.session(name, server)
            records.sent(name, plan, bool(tls), answers, "accepted")

    return send


by_swaks = by_program("swaks", lambda plan, tls: [
    "swaks", "--server", SERVERS[plan.server], "--helo", "swaks.living.test", "--from", plan.sender,
    "--to", ",".join(plan.recipients), "--data", "-", "--suppress-data", "--no-strip-from",
    *(["--tls"] if tls else []), *(["--pipeline"] if plan.letter.number % 2 and plan.server != "open" else [])])

by_msmtp = by_program("msmtp", lambda plan, tls: [
    "msmtp", "--file=/dev/null", f"--host={SERVERS[plan.server]}", "--port=25", "--domain=msmtp.living.test",
    f"--from={plan.sender}", "--auth=off", f"--tls={'on' if tls else 'off'}", "--tls-certcheck=off",
    "--set-date-header=off", "--set-msgid-header=off", "--undisclosed-recipients=off", "--", *plan.recipients])


# --- what is sent ------------------------------------------------------------------------------------------------


class Planner:
    def __init__(self, round_number):
        self.random = random.Random(round_number)
        self.writer = Writer(round_number)
        self.next = round_number * 1000

    def plans(self, server, kinds, whole=False, unreliable=False):
        """A letter of each kind to a server; `whole` where the client gives up at the first refusal."""
        plans = []
        for kind in kinds:
            self.next += 1
            letter = self.writer.write(kind, self.next)
            others = [name for name in SERVERS if name != server]
            home = "living" if letter.direct else self.random.choice(others)
            accepted = [f"ok{self.next}-{n}@{server}.test" for n in range(self.random.choice([1, 1, 2, 3, 40]))]
            if not letter.direct and not letter.utf8:
                # Passed on to both others, now and then in TLS.
                for other in others:
                    for n in range(self.random.choice([0, 1, 2])):
                        secure = "tls." if other in TLS and self.random.random() < 0.2 else ""
                        accepted.append(f"ok{self.next}-{n}@{secure}{other}.test")
            if unreliable and not letter.utf8 and not letter.direct:
                # The server it is passed on to refuses, and the sender gets it back.
                accepted.append(f"no{self.next}@{others[0]}.test")
            if letter.utf8:
                accepted.append(f"ok-grüße{self.next}@{server}.test")
            refused = []
            if not whole:
                refused = [f"no{self.next}-{n}@{server}.test" for n in range(self.random.choice([0, 0, 1, 3]))]
                if server != "open" and self.random.random() < 0.3:
                    refused.append(f"later{self.next}@{server}.test")
                if self.random.random() < 0.08:
                    accepted = []
                    refused = refused or [f"no{self.next}@{server}.test"]
            recipients = accepted + refused
            self.random.shuffle(recipients)
            reset = not whole and self.random.random() < 0.12
            plans.append(Plan(letter, server, recipients, f"ok-from{self.next}@{home}.test", reset))
        return plans


def sessions(planner):
    """Every client to every server, with all kinds of letters."""
    lists = []
    for server in SERVERS:
        # OpenSMTPD offers neither, and long lines are not for all.
        ascii_kinds = [kind for kind in KINDS if kind != "utf8"]
        takes_utf8 = server != "open"
        kinds = KINDS if takes_utf8 else ascii_kinds
        half = planner.random.sample(kinds, len(kinds))
        lists.append((by_smtplib, server, planner.plans(server, half[: len(half) // 2]), None))
        lists.append((by_smtplib, server, planner.plans(server, half[len(half) // 2:], unreliable=True), None))
        if server in TLS:
            plans = planner.plans(server, planner.random.sample(ascii_kinds, 4))
            lists.append((by_smtplib, server, plans, "starttls"))
        if server != "open":
            lists.append((by_pipeline, server, planner.plans(server, planner.random.sample(kinds, 12))))
            lists.append((by_chunks, server, planner.plans(server, planner.random.sample(kinds, 12))))
        for client, whole in [(by_swaks, False), (by_msmtp, True)]:
            usual = [kind for kind in ascii_kinds if kind not in ("dots", "long_lines", "eight_bit", "empty")]
            plans = planner.plans(server, planner.random.sample(usual, 4), whole=True)
            lists.append((client, server, plans[:3], None))
            lists.append((client, server, plans[3:], "starttls" if server in TLS else None))
    lists.append((by_smtplib, "postfix", planner.plans("postfix", ["base64", "text"]), "implicit"))
    return lists


def main():
    round_number, folder = int(sys.argv[1]), sys.argv[2]
    records = Records(folder)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(client, records, *rest) for client, *rest in sessions(Planner(round_number))]
        for done in running:
            done.result()


main()
