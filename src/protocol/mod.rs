//! What is spoken on a flow: each protocol is a parser without I/O, fed with bytes in order and told of gaps.

pub mod dns;
