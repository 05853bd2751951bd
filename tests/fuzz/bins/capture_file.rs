#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::capture_file::run(input));
