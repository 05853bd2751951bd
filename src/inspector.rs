//! To be written: inspector.
