//! To be written: pipeline.
