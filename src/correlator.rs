//! To be written: correlator.
