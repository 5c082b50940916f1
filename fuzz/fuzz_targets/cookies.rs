//! See `hallpass_fuzz::cookies`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::cookies(data));
