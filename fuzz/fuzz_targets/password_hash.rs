//! See `hallpass_fuzz::password_hash`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::password_hash(data));
