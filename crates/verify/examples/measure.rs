//! Prints what a check costs: `ISSUER=… SERVICE_KEY=… TOKEN=… cargo run --release -p hallpass-verify --example measure`.
use hallpass_verify::Verifier;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

const CHECKS: u32 = 200_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (issuer, key, token) =
        (std::env::var("ISSUER")?, std::env::var("SERVICE_KEY")?, std::env::var("TOKEN")?);
    for (name, cache) in [("signature verified each time", 0), ("signature verified before", 1000)] {
        let verifier = Verifier::builder(&issuer).service_key(&key).cache(cache).build()?;
        verifier.ready().await;
        verifier.verify(&token).await?;
        let began = Instant::now();
        for _ in 0..CHECKS {
            verifier.verify(&token).await?;
        }
        let micros = began.elapsed().as_secs_f64() * 1e6 / f64::from(CHECKS);
        writeln!(std::io::stdout(), "{name}: {micros:.2} µs")?;
    }
    Ok(())
}
