//! Randomness as an argument: the operating system's generator in production, a seeded one in tests.

/// Where unpredictable bytes come from.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// A fixed number of random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut buffer = [0; N];
    random.fill(&mut buffer);
    buffer
}

/// The operating system's generator, asked directly: the crypto library's own one collects jitter for 20 ms before its
/// first byte, which a start would wait for.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness no secret may be issued. The kernel fails only where there is no such call at all.
        assert!(getrandom::fill(buffer).is_ok(), "the system's random generator failed");
    }
}
