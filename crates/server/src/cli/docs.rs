//! What the binary knows about itself: the API, its settings, completions, and the generated references.
use super::{Cli, Common, Failure, Outcome, out};
use crate::{config, openapi};
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Prints the OpenAPI document.
#[derive(Args)]
#[command(after_help = "Example:\n  hallpass openapi > openapi.json")]
pub(super) struct Openapi {}

impl Openapi {
    #[expect(clippy::unused_self, reason = "every command runs alike")]
    pub(super) fn run(self) -> Outcome {
        out::print(openapi::document().trim_end())
    }
}

/// Prints the settings in effect, without secrets.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  hallpass config\n  hallpass config --json\n  hallpass --config /etc/hallpass.toml config"
)]
pub(super) struct ShowConfig {}

impl ShowConfig {
    #[expect(clippy::unused_self, reason = "every command runs alike")]
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = common.settings()?;
        let value = config.shown()?;
        common.out().show(&value, || lines(&value))
    }
}

/// `section.key = value`, as `hallpass.toml` takes it; what is not set is a comment.
fn lines(value: &Value) -> String {
    let mut out = String::new();
    for (section, content) in value.as_object().into_iter().flatten() {
        match content.as_object() {
            Some(keys) => {
                out.extend(keys.iter().map(|(key, value)| line(&format!("{section}.{key}"), value)));
            }
            None => out.push_str(&line(section, content)),
        }
    }
    out
}

fn line(path: &str, value: &Value) -> String {
    let hidden = |value: &Value| value == "(hidden)";
    match value {
        Value::Null => format!("# {path} is not set\n"),
        Value::Array(items) if items.iter().any(hidden) => format!("# {path} is set and not shown\n"),
        value if hidden(value) => format!("# {path} is set and not shown\n"),
        value => format!("{path} = {value}\n"),
    }
}

/// A shell that completions are made for.
#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// Prints the completions of a shell.
#[derive(Args)]
#[command(after_help = "Examples:\n  source <(hallpass completions bash)\n  \
                  hallpass completions fish > ~/.config/fish/completions/hallpass.fish")]
pub(super) struct Completions {
    /// Which shell.
    shell: Target,
}

impl Completions {
    pub(super) fn run(&self) -> Outcome {
        let shell = match self.shell {
            Target::Bash => Shell::Bash,
            Target::Zsh => Shell::Zsh,
            Target::Fish => Shell::Fish,
        };
        // Into memory first: the generator panics on a closed pipe.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "hallpass", &mut script);
        out::print(String::from_utf8(script)?.trim_end())
    }
}

/// Writes the generated references.
#[derive(Args)]
#[command(after_help = "Examples:\n  hallpass docs --out .\n  hallpass docs --out . --check")]
pub(super) struct Docs {
    /// Root of the source tree.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing; fail when a file differs.
    #[arg(long)]
    check: bool,
}

impl Docs {
    pub(super) fn run(&self) -> Outcome {
        let files = [
            ("docs/errors.md", openapi::errors_reference()),
            ("docs/configuration.md", config::reference()),
            ("crates/server/openapi.json", openapi::document()),
        ];
        if !self.check {
            return files.iter().try_for_each(|(name, text)| write(&self.out.join(name), text));
        }
        let differs = |(name, text): &&(&str, String)| {
            std::fs::read_to_string(self.out.join(name)).map_or(true, |present| present != *text)
        };
        let stale: Vec<&str> = files.iter().filter(differs).map(|(name, _)| *name).collect();
        if stale.is_empty() {
            return Ok(());
        }
        Err(Failure(format!(
            "out of date: {}; run `hallpass docs --out {}`",
            stale.join(", "),
            self.out.display()
        )))
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    let problem = |error: std::io::Error| Failure(format!("cannot write {}: {error}", path.display()));
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(problem)?;
    std::fs::write(path, text).map_err(problem)
}
