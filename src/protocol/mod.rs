//! To be written: protocol.
