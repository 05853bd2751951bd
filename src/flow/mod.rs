//! To be written: flow.
