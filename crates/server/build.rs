//! Notes version, name and checksum of every migration, so that a start sees that all of them ran without the regular expressions
//! with which the migration library reads the names of files.
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=migrations");
    let mut migrations = refinery_core::load_sql_migrations("migrations")?;
    migrations.sort();
    let mut text = String::from("[\n");
    for one in migrations {
        writeln!(text, "    ({}, {:?}, {}),", one.version(), one.name(), one.checksum())?;
    }
    text.push_str("]\n");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    Ok(std::fs::write(folder.join("migrations.rs"), text)?)
}
