//! One packet of a mail session at a time, without a conversation held in memory: for attacks and floods of a hundred
//! thousand sessions.

use std::net::{IpAddr, Ipv4Addr};

use crate::capture::Packet;
use crate::clock::Nanos;
use crate::host::{Endpoint, Host, LINUX};
use crate::wire::{self, ACK, FIN, Ip, Link, PSH, SYN, Tcp};

/// A session of a host outside with the mail server at home, far enough to send a message's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Talk(pub u64);

impl Talk {
    /// Packets until the message may begin.
    pub const OPENING: u64 = 3 + Self::WORDS.len() as u64;
    /// By the server and the client in turn.
    const WORDS: [&str; 9] = [
        "220 mail.home.example ESMTP\r\n",
        "EHLO slow.example.net\r\n",
        "250 mail.home.example\r\n",
        "MAIL FROM:<a@example.net>\r\n",
        "250 ok\r\n",
        "RCPT TO:<b@home.example>\r\n",
        "250 ok\r\n",
        "DATA\r\n",
        "354 go ahead\r\n",
    ];

    /// Its packet `step` until the message begins.
    pub fn open(self, at: Nanos, step: u64) -> Packet {
        match step {
            0 => self.send(at, 0, Tcp { seq: self.first(0).wrapping_sub(1), flags: SYN, ..Tcp::default() }, &[]),
            1 => {
                let (seq, ack) = (self.first(1).wrapping_sub(1), self.first(0));
                self.send(at, 1, Tcp { seq, ack, flags: SYN | ACK, ..Tcp::default() }, &[])
            }
            2 => self.send(at, 0, Tcp { seq: self.first(0), ack: self.first(1), flags: ACK, ..Tcp::default() }, &[]),
            _ => {
                let word = step as usize - 3;
                let side = 1 - word % 2;
                let [seq, ack] = [side, 1 - side].map(|side| self.first(side).wrapping_add(Self::said(side, word)));
                let header = Tcp { seq, ack, flags: ACK | PSH, ..Tcp::default() };
                self.send(at, side, header, Self::WORDS[word].as_bytes())
            }
        }
    }

    /// A segment of the client, `offset` bytes behind the beginning of the message.
    pub fn client(self, at: Nanos, offset: u32, flags: u8, data: &[u8]) -> Packet {
        let [seq, ack] = [0, 1].map(|side| self.first(side).wrapping_add(Self::said(side, Self::WORDS.len())));
        let ack = if flags & ACK == 0 { 0 } else { ack };
        self.send(at, 0, Tcp { seq: seq.wrapping_add(offset), ack, flags, ..Tcp::default() }, data)
    }

    /// The end of a message of `length` bytes, its packet `step` of [`Talk::ENDING`].
    pub fn end(self, at: Nanos, length: u32, step: u64) -> Packet {
        let after = length.wrapping_add(5);
        match step {
            0 => self.client(at, length, ACK | PSH, b"\r\n.\r\n"),
            1 => self.server(at, 0, after, ACK | PSH, b"250 ok\r\n"),
            2 => self.client(at, after, ACK | FIN, &[]),
            _ => self.server(at, 8, after.wrapping_add(1), ACK | FIN, &[]),
        }
    }

    /// Packets from the end of a message to that of the connection.
    pub const ENDING: u64 = 4;

    /// A segment of the server, `offset` bytes behind its last reply, that acknowledges so much of the message.
    pub fn server(self, at: Nanos, offset: u32, taken: u32, flags: u8, data: &[u8]) -> Packet {
        let [ack, seq] = [0, 1].map(|side| self.first(side).wrapping_add(Self::said(side, Self::WORDS.len())));
        let header = Tcp { seq: seq.wrapping_add(offset), ack: ack.wrapping_add(taken), flags, ..Tcp::default() };
        self.send(at, 1, header, data)
    }

    fn send(self, at: Nanos, side: usize, header: Tcp<'_>, data: &[u8]) -> Packet {
        let number = self.0 as u32;
        let client = outside(0x0001_0000 | number & 0xffff, 2_000 + (number >> 16) as u16);
        let server = mail_server();
        let (from, to) = if side == 0 { (client, server) } else { (server, client) };
        segment(at, &from, &to, header, data)
    }

    /// Sequence number of the first byte of a side; some wrap around soon after.
    fn first(self, side: usize) -> u32 {
        (self.0 as u32).wrapping_mul(0x9e37_79b9).wrapping_add(side as u32).wrapping_sub(200)
    }

    /// Bytes a side said in the first `words`.
    fn said(side: usize, words: usize) -> u32 {
        let own = Self::WORDS[..words].iter().skip(1 - side).step_by(2);
        own.map(|word| word.len() as u32).sum()
    }
}

/// A segment from one end to another.
pub fn segment(time: Nanos, from: &Endpoint, to: &Endpoint, header: Tcp<'_>, data: &[u8]) -> Packet {
    let header = Tcp { src_port: from.port, dst_port: to.port, window: 16_384, ..header };
    let mut frame = Vec::with_capacity(60 + data.len());
    wire::tcp(&mut frame, &link(from, to), &ip(from, to), &header, data);
    Packet { time, data: frame }
}

/// A UDP datagram.
pub fn datagram(time: Nanos, from: &Endpoint, to: &Endpoint, data: &[u8]) -> Packet {
    let mut frame = Vec::with_capacity(60 + data.len());
    wire::udp(&mut frame, &link(from, to), &ip(from, to), (from.port, to.port), data);
    Packet { time, data: frame }
}

fn link(from: &Endpoint, to: &Endpoint) -> Link {
    Link { src: from.mac, dst: to.mac, vlan: None }
}

fn ip(from: &Endpoint, to: &Endpoint) -> Ip {
    Ip { src: from.ip, dst: to.ip, ttl: from.ttl(), id: 0, df: true }
}

/// A host of 198.18.0.0/15.
pub fn outside(number: u32, port: u16) -> Endpoint {
    let host = Host::outside("outside", Ipv4Addr::from(0xc612_0000 | number & 0x0001_ffff), "stranger", &LINUX);
    host.endpoint(host.ip(), port)
}

/// The mail server at home.
pub fn mail_server() -> Endpoint {
    let host = Host::home("mail", Ipv4Addr::new(10, 20, 0, 25), "mail server", &LINUX);
    host.endpoint(IpAddr::V4(Ipv4Addr::new(10, 20, 0, 25)), 25)
}
