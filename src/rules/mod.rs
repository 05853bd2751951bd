//! To be written: rules.
