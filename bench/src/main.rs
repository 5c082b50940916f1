//! `make bench`: measures Hallpass and, in the same run, what the machine can do at all. The measured process has one
//! core, this generator the other. Writes table, targets and plot into `docs/performance.md`.
//!
//! `BENCH_SECONDS` (5) is the length of a load, `BENCH_REQUESTS` (1000000) the number of requests before
//! memory is read again, `BENCH_SESSIONS` (1000000) the largest database. The argument `postgres` measures on a PostgreSQL
//! server (`scripts/with-servers`) instead; `search` measures how administrators find users. The argument `print` writes no file; `check`,
//! `refresh` or `login` measures that alone, for a profiler.
mod bare;
mod http;
mod ks;
mod limits;
mod load;
mod machine;
mod plot;
mod postgres;
mod report;
mod rows;
mod run;
mod scenarios;
mod search;
mod seed;
mod server;
mod uniform;

use std::io::Write;
use std::path::Path;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Fallible<()> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let bare = argument == "bare";
    if !bare {
        machine::pin(machine::GENERATOR)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if bare {
        return runtime.block_on(bare::serve());
    }
    let mut out = std::io::stdout().lock();
    if let "check" | "refresh" | "login" = argument.as_str() {
        let text = runtime.block_on(run::one(&argument))?.text()?;
        return Ok(writeln!(out, "{text}")?);
    }
    if argument == "search" {
        let users = std::env::var("BENCH_USERS").map_or(Ok(1_000_000), |text| text.parse())?;
        let report = runtime.block_on(search::everything(users))?;
        writeln!(out, "{}", report.text()?)?;
        return report.write_text(Path::new("docs/performance.md"), "searches measured");
    }
    if argument == "postgres" {
        let report = runtime.block_on(run::on_postgres())?;
        writeln!(out, "{}", report.text()?)?;
        return report.write_text(Path::new("docs/performance.md"), "measured on PostgreSQL");
    }
    let report = runtime.block_on(run::everything())?;
    writeln!(out, "{}", report.text()?)?;
    if argument != "print" {
        report.write(Path::new("docs"))?;
    }
    Ok(())
}
