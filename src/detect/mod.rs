//! To be written: detect.
