//! See `hallpass_fuzz::link_token`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::link_token(data));
