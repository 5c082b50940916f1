//! See `hallpass_fuzz::forwarded`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz::forwarded(data));
