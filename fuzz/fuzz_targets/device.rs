//! See `hallpass_fuzz::device`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::device(data));
