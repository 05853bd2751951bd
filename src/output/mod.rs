//! To be written: output.
