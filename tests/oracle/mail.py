"""Makes messages with Python's standard library and says what is in them: one JSON object a line.

Each has `mail` (base64) and what the library itself, or the payload before it was packed, says: `from`, `to`,
`subject`, `files` as [name, size, md5, sha256] and `members` as [container..., name, size, sha256].
"""
import base64, email, email.policy, email.utils, gzip, hashlib, io, json, random, zipfile
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

RANDOM = random.Random(2003)
NAMES = ["photos.zip", "a b.txt", "naïve résumé.doc", "письмо.exe", "写真.jpg.exe", "semi;colon.pdf", 'quo"te.scr', "x" * 120 + ".pif",
         "ünï " * 30 + ".zip", "per%41cent.txt", "trailing .com", "(paren) [x].bat", "tab.vbs", "back\\slash.cmd"]
SUBJECTS = ["Re[2]: our private photos      xkcd", "Grüße aus Köln", "привет " * 20, "写真です" * 15, "a = b ?= c =?", "plain", "x" * 200]


def fact(name, data):
    return [name, len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()]


def payload():
    kind = RANDOM.randrange(4)
    size = RANDOM.choice([0, 1, 2, 3, 56, 57, 58, 1000, 5000])
    if kind == 0:
        return RANDOM.randbytes(size)
    if kind == 1:
        return b"line one\r\nline two\r\n" * (size // 20)
    if kind == 2:
        return b"-" * size + b"\n--b\n.\n"
    return b"MZ" + bytes(size)


def zipped(depth=0):
    """A zip, and its members as [path..., name, size, sha256]."""
    out, members = io.BytesIO(), []
    with zipfile.ZipFile(out, "w") as archive:
        names = [n for n in RANDOM.sample(NAMES, RANDOM.randrange(1, 5)) if "\\" not in n]
        for name in names:
            data = payload()
            method = RANDOM.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            if depth < 2 and RANDOM.random() < 0.3:
                data, inner = zipped(depth + 1)
                members += [[name, *member] for member in inner]
            archive.writestr(zipfile.ZipInfo(name, (2003, 10, 31, 12, 0, 0)), data, method)
            members.append([name, len(data), hashlib.sha256(data).hexdigest()])
    return out.getvalue(), members


def generated():
    """A message by EmailMessage or the MIME classes, with line ends of one kind."""
    files, members = [], []
    message = EmailMessage(policy=email.policy.SMTP.clone(max_line_length=RANDOM.choice([60, 78, 200])))
    message["From"] = RANDOM.choice(["james@example.com", "Jörg Müller <j@example.com>", '"Doe, John" <john@example.com>'])
    message["To"] = ", ".join(RANDOM.sample(["a@b.example", "Ünal <u@example.org>", '"x, y" <xy@example.net>', "c@d.example"], 2))
    message["Subject"] = RANDOM.choice(SUBJECTS)
    message.set_content(RANDOM.choice(["Hello\n", "Grüße\n", "--b\nlong " * 30 + "\n"]))
    if RANDOM.random() < 0.5:
        message.add_alternative("<p>Hello <a href='http://x.example/'>there</a>", subtype="html")
    for name in RANDOM.sample(NAMES, RANDOM.randrange(0, 5)):
        data = payload()
        if RANDOM.random() < 0.3:
            data, inner = zipped()
            members += [[name, *member] for member in inner]
        cte = RANDOM.choice(["base64", "quoted-printable"] if b"\0" not in data and b"\r" not in data and data.isascii() else ["base64"])
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name, cte=cte)
        files.append(fact(name, data))
    wire = message.as_bytes()
    if not any(part.get("content-transfer-encoding") == "quoted-printable" and part.get_filename() for part in message.walk()):
        wire = RANDOM.choice([wire, wire.replace(b"\r\n", b"\n"), wire.replace(b"\r\n", b"\r")])
    return wire, files, members


def classic():
    """The older classes: names by RFC 2231 or RFC 2047 in `name`, headers by Header, messages in messages."""
    files = []
    outer = MIMEMultipart(boundary=RANDOM.choice(["----------2C1B5A2C1B5A2C1", "b", "=_x:y'z", "a b"]))
    outer["Subject"] = Header(RANDOM.choice(SUBJECTS), RANDOM.choice(["utf-8", "utf-8", "utf-16"])) if RANDOM.random() < 0.7 else "x"
    outer["From"], outer["To"] = "a@b.example", "c@d.example, e@f.example"
    outer.attach(MIMEText("Grüße\n", "plain", RANDOM.choice(["iso-8859-1", "utf-8"])))
    for name in RANDOM.sample(NAMES, 3):
        data = payload()
        part = MIMEApplication(data)
        if RANDOM.random() < 0.5:
            part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", name))
        else:
            part.set_param("name", Header(name, "utf-8").encode() if not name.isascii() else name)
        files.append(fact(name, data))
        outer.attach(part)
    if RANDOM.random() < 0.5:
        inner = MIMEMultipart()
        inner["Subject"], inner["From"] = "inner", "inner@example.com"
        data = payload()
        part = MIMEApplication(data)
        part.add_header("Content-Disposition", "attachment", filename="inner.bin")
        inner.attach(part)
        files.append(fact("inner.bin", data))
        outer.attach(MIMEMessage(inner))
    return outer.as_bytes(policy=email.policy.compat32.clone(linesep="\r\n")), files, []


HEAD = b'Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n'
FILE = b"Content-Disposition: attachment; filename=f\n"
DAMAGED = [
    HEAD + b"--b\n" + FILE + b"\none\n\n--b\n" + FILE + b"\ntwo\n",
    HEAD + b"--b  \t\n" + FILE + b"\none\n--bb\n--b--\nepilogue\n--b\n",
    HEAD + b"--b\r\n" + FILE + b"\r\none\r\n--b--\r\n",
    HEAD + b"--b\n" + FILE + b"\nx --b\n --b\n--b-\n--b--",
    HEAD + b"--b\n" + FILE + b"no blank line\n--b--\n",
    HEAD + b"--b\n" + FILE + b"--b\n" + FILE + b"\n--b--\n",
    HEAD + b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n" + FILE + b"\none\n--b\n" + FILE + b"\ntwo\n--b--\n",
    HEAD + b"--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n" + FILE + b"\none\n--bb--\n--b\n" + FILE + b"\ntwo\n--b--\n",
    HEAD + b"--b\n" + FILE + b"Content-Transfer-Encoding: base64\n\naGVs\xe9bG8\n--b--\n",
    HEAD + b"--b\n" + FILE + b"Content-Transfer-Encoding: base64\n\naGVsbG8=\n-- \nfooter\n--b--\n",
    HEAD + b"--b\n" + FILE + b"Content-Transfer-Encoding: BASE64\n\naGVsbG8\n\n--b--\n",
    HEAD + b"--b\n" + FILE + b"Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc=\n--b--\n",
    HEAD + b"--b\nContent-Type: a/b; name*1=st.exe; name*0=\"fir\"\n\nx\n--b--\n",
    HEAD + b"--b\nContent-Type: a/b;\n name=\n \"next line.exe\"\n\nx\n--b--\n",
    HEAD + b"--b\nContent-Disposition: attachment;\n\tfilename*0*=utf-8''%E5%86%99;\n\tfilename*1*=%E7%9C%9F\n\nx\n--b--\n",
    b"From x@y Fri Oct 31 12:00:00 2003\nSubject: mbox\nTo: a@b\n\nbody\n",
    b"no header at all\n\nSubject: not one\n",
    b"Subject: =?iso-2022-jp?B?GyRCJDMbKEI=?=\n =?utf-8?q?=C3?= =?utf-8?q?=A9?=\nTo: \"=?utf-8?q?q=C3=A9?=\" <q@x>,\n\t<r@x>\n\nbody",
]


def parsed(wire):
    """What the library's parser finds in a message as it came."""
    message = email.message_from_bytes(wire)
    files = []
    for part in message.walk():
        if part.get_filename() and not part.is_multipart():
            name = str(make_header(decode_header(email.utils.collapse_rfc2231_value(part.get_filename()))))
            files.append(fact(name, part.get_payload(decode=True)))
    return files


def shown(wire):
    message = email.message_from_bytes(wire)
    text = lambda name: str(make_header(decode_header(str(message[name]).replace("\r", "").replace("\n", "")))) if message[name] else None
    to = [str(address) for _, address in email.utils.getaddresses([text("to") or ""])]
    return {"from": email.utils.parseaddr(text("from") or "")[1], "to": [a for a in to if a], "subject": text("subject")}


for make in [generated] * 120 + [classic] * 60:
    wire, files, members = make()
    normal = wire.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    print(json.dumps({"mail": base64.b64encode(wire).decode(), "files": files, "members": members, **shown(normal)}))
for wire in DAMAGED:
    print(json.dumps({"mail": base64.b64encode(wire).decode(), "files": parsed(wire), "members": [], **shown(wire)}))
