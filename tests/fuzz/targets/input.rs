//! Cuts an input into what a target needs. Every input means something, and a small change of it changes little: that
//! is what a fuzzer can work with.

/// The rest of an input, taken from the front. Past the end everything is zero or empty.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A sequence of lengths that looks like chance and is the same each time: for places to split at.
pub struct Lengths(u32);

impl Lengths {
    pub fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    /// From 1 to 16; mostly small.
    pub fn next(&mut self) -> usize {
        // Xorshift, after Marsaglia 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        1 + ((self.0 >> 8) & (self.0 >> 16) & 15) as usize
    }
}
