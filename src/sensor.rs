//! To be written: sensor.
