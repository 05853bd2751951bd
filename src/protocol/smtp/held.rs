//! Bytes of a client that are kept to be read later, with the holes in them.

use super::command::{self, Command};
use crate::model::event::Dialect;
use crate::model::limits;

/// What a client said that cannot be read yet, and where some of it was lost. Read later, it is as if it came only then.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    /// Where bytes were lost, and how many.
    holes: Vec<(usize, u64)>,
}

impl Held {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn lose(&mut self, lost: u64) {
        match self.holes.last_mut() {
            Some((at, before)) if *at == self.bytes.len() => *before += lost,
            _ => self.holes.push((self.bytes.len(), lost)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.holes.is_empty()
    }

    pub fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// No more should be held.
    pub fn is_full(&self) -> bool {
        self.bytes.len() > limits::SMTP_UNDECIDED || self.holes.len() > limits::SMTP_UNDECIDED_HOLES
    }

    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.holes.capacity() * size_of::<(usize, u64)>()
    }

    /// All that was heard, over the holes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What came before anything was lost.
    pub fn before_holes(&self) -> &[u8] {
        let end = self.holes.first().map_or(self.bytes.len(), |(at, _)| *at);
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Its first line, or what there is of it, as a command.
    pub fn first_command(&self) -> Command {
        first_command(self.before_holes())
    }

    /// Forgets the first line. False when its end is yet to come.
    pub fn skip_line(&mut self) -> bool {
        let end = memchr::memchr(b'\n', &self.bytes);
        self.skip(end.map_or(self.bytes.len(), |end| end + 1));
        end.is_some()
    }

    /// Forgets the first `skipped` bytes, and what was lost among them.
    pub fn skip(&mut self, skipped: usize) {
        self.bytes.drain(..skipped.min(self.bytes.len()));
        self.holes.retain_mut(|(at, _)| match at.checked_sub(skipped) {
            Some(later) => {
                *at = later;
                true
            }
            None => false,
        });
    }

    /// Forgets the last `dropped` bytes. None if there are not so many.
    pub fn without_last(mut self, dropped: usize) -> Option<Self> {
        let kept = self.bytes.len().checked_sub(dropped)?;
        self.bytes.truncate(kept);
        self.holes.retain(|(at, _)| *at <= kept);
        Some(self)
    }

    /// The pieces between holes, each with what was lost behind it: of the last one nothing.
    pub fn pieces(&self) -> impl Iterator<Item = (&[u8], Option<u64>)> {
        let ends = self.holes.iter().map(|(at, lost)| (*at, Some(*lost))).chain([(self.bytes.len(), None)]);
        ends.scan(0, |from, (to, lost)| {
            let piece = self.bytes.get(*from..to).unwrap_or_default();
            *from = to;
            Some((piece, lost))
        })
    }
}

/// The first line of what a client said, or what there is of it, as a command. Of a line past its bound the beginning
/// counts, as when it is read.
pub fn first_command(said: &[u8]) -> Command {
    let said = said.get(..limits::SMTP_COMMAND_LINE).unwrap_or(said);
    let line = said.split(|&b| b == b'\n').next().unwrap_or_default();
    command::parse(line.trim_ascii_end(), &mut Dialect::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(steps: &[Result<&[u8], u64>]) -> Held {
        let mut held = Held::default();
        for step in steps {
            match step {
                Ok(bytes) => held.push(bytes),
                Err(lost) => held.lose(*lost),
            }
        }
        held
    }

    fn pieces(held: &Held) -> Vec<(&[u8], Option<u64>)> {
        held.pieces().collect()
    }

    #[test]
    fn pieces_come_back_with_the_holes_between_them() {
        let held = held(&[Err(2), Err(3), Ok(b"ab"), Ok(b"c"), Err(7), Ok(b"d"), Err(1)]);
        assert_eq!(pieces(&held), [(&b""[..], Some(5)), (b"abc", Some(7)), (b"d", Some(1)), (b"", None)]);
        assert_eq!((held.before_holes(), held.bytes()), (&b""[..], &b"abcd"[..]));
    }

    #[test]
    fn what_is_cut_off_takes_its_holes_along() {
        let mut front = held(&[Ok(b"a"), Err(1), Ok(b"b\nc"), Err(2), Ok(b"d")]);
        front.skip_line();
        assert_eq!(pieces(&front), [(&b"c"[..], Some(2)), (b"d", None)]);
        let back = held(&[Ok(b"ab"), Err(1), Ok(b"c"), Err(2), Ok(b"de")]).without_last(3).unwrap();
        assert_eq!(pieces(&back), [(&b"ab"[..], Some(1)), (b"", None)]);
        assert!(back.without_last(3).is_none());
    }
}
