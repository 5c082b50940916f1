//! See `hallpass_fuzz::form`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::form(data));
