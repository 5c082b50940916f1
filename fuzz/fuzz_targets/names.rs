//! See `hallpass_fuzz::names`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::names(data));
