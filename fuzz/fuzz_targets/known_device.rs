//! See `hallpass_fuzz::known_device`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::known_device(data));
