"""Letters of every shape, each with what a reader must find in it. The same seed writes the same letters."""

import base64
import hashlib
import io
import random
import zipfile
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

CRLF = b"\r\n"


class Letter:
    """A message as bytes with CRLF line ends, and what was put into it."""

    def __init__(self, kind, number, data, subject, files, eight_bit=False, utf8=False, direct=False):
        self.kind, self.number, self.data, self.subject, self.files = kind, number, data, subject, files
        self.eight_bit, self.utf8 = eight_bit, utf8
        # Not every server passes it on as it is.
        self.direct = direct

    @property
    def message_id(self):
        return f"<{self.number:04}@living.test>"

    def facts(self):
        body = self.data.partition(CRLF + CRLF)[2]
        return {
            "kind": self.kind,
            "size": len(self.data),
            "subject": self.subject,
            "message_id": self.message_id,
            "body_md5": hashlib.md5(body).hexdigest(),
            "files": self.files,
        }


def fact(name, data, *container):
    return {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "container": list(container)}


def make_zip(members, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (2003, 10, 31, 12, 0, 0)), data, method)
    return out.getvalue()


class Writer:
    """Writes letters; each kind is a method below."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def write(self, kind, number):
        return getattr(self, kind)(number)

    def head(self, number, subject):
        message = EmailMessage(policy=SMTP)
        message["From"] = "Alice <alice@living.test>"
        message["To"] = "Bob <bob@living.test>"
        message["Subject"] = subject
        message["Message-ID"] = f"<{number:04}@living.test>"
        message["Date"] = "Fri, 31 Oct 2003 12:00:00 +0000"
        return message

    def raw(self, kind, number, lines, body, files=(), **more):
        """A message written by hand: `lines` are further header lines, `body` is bytes."""
        subject = f"{kind} {number}"
        head = ["From: alice@living.test", "To: bob@living.test", f"Subject: {subject}",
                f"Message-ID: <{number:04}@living.test>", "Date: Fri, 31 Oct 2003 12:00:00 +0000", *lines]
        data = "\r\n".join(head).encode("ascii" if not more.get("utf8") else "utf-8") + CRLF + CRLF + body
        return Letter(kind, number, data, subject, list(files), **more)

    def words(self, count):
        return " ".join(self.random.choice(WORDS) for _ in range(count))

    def bytes(self, least, most):
        return self.random.randbytes(self.random.randint(least, most))

    def built(self, kind, number, message, subject, files, **more):
        return Letter(kind, number, message.as_bytes(), subject, files, **more)

    # --- plain ---------------------------------------------------------------------------------------------------

    def text(self, number):
        body = "".join(f"{self.words(9)}\r\n" for _ in range(self.random.randint(1, 60)))
        return self.raw("text", number, [], body.encode())

    def empty(self, number):
        return self.raw("empty", number, [], b"")

    def dots(self, number):
        lines = [b".", b"..", b"...", b". ", b".x", b"", b".", b"RSET", b".\t", b"QUIT", b"..."]
        self.random.shuffle(lines)
        return self.raw("dots", number, [], CRLF.join([b"."] + lines + [b"."]) + CRLF)

    def long_lines(self, number):
        body = b"".join(b"x" * self.random.randint(900, 9000) + CRLF for _ in range(4))
        return self.raw("long_lines", number, [], body, direct=True)

    def eight_bit(self, number):
        body = "".join(f"grüße, 写真 {self.words(5)}\r\n" for _ in range(8)).encode()
        lines = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
        return self.raw("eight_bit", number, lines, body, eight_bit=True)

    def utf8(self, number):
        message = EmailMessage(policy=SMTPUTF8)
        subject = f"grüße 写真 {number}"
        message["From"], message["To"] = "älice@living.test", "bøb@living.test"
        message["Subject"], message["Message-ID"] = subject, f"<{number:04}@living.test>"
        message["Date"] = "Fri, 31 Oct 2003 12:00:00 +0000"
        message.set_content("grüße\n", cte="8bit")
        return self.built("utf8", number, message, subject, [], eight_bit=True, utf8=True)

    def encoded_subject(self, number):
        subject = f"Grüße aus Köln, {self.words(12)} 写真をどうぞ {number}"
        message = self.head(number, subject)
        message.set_content(self.words(30))
        return self.built("encoded_subject", number, message, subject, [])

    # --- attachments ---------------------------------------------------------------------------------------------

    def attached(self, kind, number, named, cte="base64", **how):
        """A text and files of random bytes."""
        subject = f"{kind} {self.words(3)} {number}"
        message = self.head(number, subject)
        message.set_content(self.words(40))
        for name, data in named:
            message.add_attachment(data, "application", "octet-stream", filename=name, cte=cte, **how)
        return self.built(kind, number, message, subject, [fact(name, data) for name, data in named])

    def base64(self, number):
        return self.attached("base64", number, [(f"data{n}.bin", self.bytes(1, 60_000)) for n in range(2)])

    def large(self, number):
        return self.attached("large", number, [("large.bin", self.bytes(150_000, 400_000))])

    def quoted_printable(self, number):
        return self.attached("quoted_printable", number, [("data.bin", self.bytes(1, 9000))], "quoted-printable")

    def seven_bit(self, number):
        data = "".join(f"{self.words(8)}\r\n" for _ in range(20)).encode()
        lines = ["MIME-Version: 1.0", 'Content-Type: text/csv; name="table.csv"',
                 'Content-Disposition: attachment; filename="table.csv"']
        return self.raw("seven_bit", number, lines, data, [fact("table.csv", data)])

    def empty_file(self, number):
        return self.attached("empty_file", number, [("nothing.dat", b""), ("some.dat", b"\0")])

    def odd_base64(self, number):
        """Lines of odd lengths, and no line end before the boundary but its own."""
        data = self.bytes(3000, 9000)
        text, lines = base64.b64encode(data), []
        while text:
            cut = self.random.randint(1, 120)
            lines.append(text[:cut])
            text = text[cut:]
        return self.multipart("odd_base64", number, "odd.bin", CRLF.join(lines), [fact("odd.bin", data)])

    def multipart(self, kind, number, disposition, encoded, files):
        """One part in base64 whose disposition is written by hand."""
        parameter = disposition if "=" in disposition else f'filename="{disposition}"'
        lines = ["MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="=_cut"']
        body = (b"--=_cut\r\nContent-Type: text/plain\r\n\r\nsee there\r\n--=_cut\r\n"
                b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
                b"Content-Disposition: attachment; " + parameter.encode() + b"\r\n\r\n" + encoded + b"\r\n--=_cut--\r\n")
        return self.raw(kind, number, lines, body, files)

    # --- names ---------------------------------------------------------------------------------------------------

    def name_2231(self, number):
        return self.attached("name_2231", number, [("überraschung 写真.exe", self.bytes(10, 3000))])

    def name_2231_long(self, number):
        name = "sehr lange überschrift " * 6 + "ende.pdf"
        return self.attached("name_2231_long", number, [(name, self.bytes(10, 3000))])

    def name_2231_pieces(self, number):
        data = self.bytes(10, 3000)
        pieces = ("filename*0*=utf-8''pho%74os;\r\n\tfilename*1=\".jpg\";\r\n filename*2*=%2Eexe")
        return self.multipart("name_2231_pieces", number, pieces, base64.encodebytes(data).replace(b"\n", CRLF),
                              [fact("photos.jpg.exe", data)])

    def name_2047(self, number):
        data = self.bytes(10, 3000)
        words = "".join(f"=?utf-8?B?{base64.b64encode(part.encode()).decode()}?=" + end
                        for part, end in [("fotos vom ", "\r\n "), ("öffner.scr", "")])
        return self.multipart("name_2047", number, f'filename="{words}"',
                              base64.encodebytes(data).replace(b"\n", CRLF), [fact("fotos vom öffner.scr", data)])

    # --- archives and nesting ------------------------------------------------------------------------------------

    def zipped(self, kind, number, method):
        members = [(f"member{n}.bin", self.bytes(1, 9000)) for n in range(3)]
        members.append(("text.txt", self.words(500).encode()))
        packed = make_zip(members, method)
        letter = self.attached(kind, number, [("archive.zip", packed)])
        letter.files += [fact(name, data, "archive.zip") for name, data in members]
        return letter

    def zip_deflated(self, number):
        return self.zipped("zip_deflated", number, zipfile.ZIP_DEFLATED)

    def zip_stored(self, number):
        return self.zipped("zip_stored", number, zipfile.ZIP_STORED)

    def zip_in_zip(self, number):
        deep = [("deep.exe", b"MZ" + bytes(2000))]
        inner = make_zip(deep, zipfile.ZIP_DEFLATED)
        outer = make_zip([("inner.zip", inner), ("beside.txt", b"beside")], zipfile.ZIP_STORED)
        letter = self.attached("zip_in_zip", number, [("outer.zip", outer)])
        letter.files += [fact("inner.zip", inner, "outer.zip"), fact("beside.txt", b"beside", "outer.zip"),
                         fact("deep.exe", deep[0][1], "outer.zip", "inner.zip")]
        return letter

    def nested(self, number):
        """A letter within a letter, which has the attachment, and is one itself."""
        data = self.bytes(10, 20_000)
        inner = EmailMessage(policy=SMTP)
        inner["From"], inner["Subject"], inner["Message-ID"] = "eve@inner.test", "the inner one", "<inner@inner.test>"
        inner.set_content("inner text")
        inner.add_attachment(data, "application", "octet-stream", filename="inner.bin")
        subject = f"nested {number}"
        message = self.head(number, subject)
        message.set_content("outer text")
        message.add_attachment(inner)
        return self.built("nested", number, message, subject,
                          [fact("", inner.as_bytes()), fact("inner.bin", data)])

    def alternative(self, number):
        data = self.bytes(10, 9000)
        subject = f"alternative {number}"
        message = self.head(number, subject)
        message.set_content("plain")
        message.add_alternative("<p>html <img src='cid:x'></p>", subtype="html")
        message.add_attachment(data, "image", "png", filename="picture.png")
        return self.built("alternative", number, message, subject, [fact("picture.png", data)])


WORDS = "sand sea harbour letter photo night summer report table window garden copper silver yellow maybe".split()

KINDS = """text empty dots long_lines eight_bit utf8 encoded_subject base64 large quoted_printable
    seven_bit empty_file odd_base64 name_2231 name_2231_long name_2231_pieces name_2047 zip_deflated zip_stored
    zip_in_zip nested alternative""".split()
