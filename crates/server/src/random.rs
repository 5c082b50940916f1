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

/// The operating system's generator, through the crypto library.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness no secret may be issued. The library fails only before the kernel's pool is ready.
        assert!(aws_lc_rs::rand::fill(buffer).is_ok(), "the system's random generator failed");
    }
}
