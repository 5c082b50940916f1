//! What commands say about themselves.
use super::process::Place;

/// Every command that an operator may type.
const COMMANDS: [&[&str]; 37] = [
    &[],
    &["serve"],
    &["migrate"],
    &["doctor"],
    &["health"],
    &["user"],
    &["user", "create"],
    &["user", "list"],
    &["user", "show"],
    &["user", "disable"],
    &["user", "enable"],
    &["user", "set-password"],
    &["user", "delete"],
    &["invite"],
    &["invite", "create"],
    &["invite", "list"],
    &["invite", "resend"],
    &["invite", "revoke"],
    &["sessions"],
    &["sessions", "list"],
    &["sessions", "revoke"],
    &["keys"],
    &["keys", "list"],
    &["keys", "rotate"],
    &["service-key"],
    &["service-key", "create"],
    &["service-key", "list"],
    &["service-key", "revoke"],
    &["backup"],
    &["restore"],
    &["move-to-postgres"],
    &["openapi"],
    &["config"],
    &["completions"],
    &["docs"],
    &["config", "--json"],
    &["--json"],
];

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new();
    for command in COMMANDS {
        let said = place.run(&[command, &["--help"]].concat()).succeeds();
        assert!(said.out.contains("Example"), "{command:?}: {}", said.out);
    }
    let listed = place.run(&["--help"]).out;
    for command in COMMANDS.iter().filter(|command| command.len() == 1 && !command[0].starts_with('-')) {
        assert_eq!(listed.contains(&format!("\n  {} ", command[0])), command[0] != "docs", "{command:?}");
    }
}
