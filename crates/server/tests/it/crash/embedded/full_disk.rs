//! A disk of a few hundred kilobytes, seen by one server only: a tmpfs in a mount namespace of its own.
use crate::cli::process::{Place, Said, Server};
use crate::support::PASSWORD;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

/// A command that mounts a small disk over the data folder and becomes `hallpass` in there. The mount ends with it.
fn on_small_disk(place: &Place, kilobytes: u32, prepare: &str, arguments: &[&str]) -> std::process::Command {
    let user = if rustix::process::geteuid().is_root() { "" } else { "--user --map-root-user" };
    let script = format!(
        "mkdir -p data && mount -t tmpfs -o size={kilobytes}k,mode=700 tmpfs data && {prepare} && exec \"$0\" \"$@\""
    );
    let command = place.command(arguments);
    let binary = command.get_program().to_owned();
    let mut wrapped = std::process::Command::new("unshare");
    wrapped.args(user.split_whitespace()).args(["--mount", "sh", "-c", &script]).arg(binary).args(arguments);
    wrapped.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    wrapped.current_dir(command.get_current_dir().unwrap());
    wrapped
}

#[test]
fn full_at_start_it_says_so_and_ends() {
    let place = Place::new();
    let output = on_small_disk(&place, 40, "true", &["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let said = Said::from(output);
    said.fails_with("the disk is full");
}

#[test]
fn full_in_flight_it_refuses_writes_with_a_time_to_retry_keeps_what_it_acknowledged_and_recovers() {
    let place = Place::new().set("HALLPASS_LIMITS__ENABLED", "false");
    let ballast = "head -c 1000000 /dev/zero > data/ballast";
    let command = on_small_disk(&place, 2400, ballast, &["serve", "--listen", "127.0.0.1:0", "--json"]);
    let server = Server::start(command);
    let account = json!({ "email": ANN, "password": PASSWORD });
    let (status, answer) = server.send("POST", "/api/v1/register", "", &account);
    assert_eq!(status, 202, "{answer}");
    let (_, mailbox) = server.send("GET", "/dev/mailbox.json", "", &Value::Null);
    let proof = json!({
        "email": ANN, "code": mailbox["messages"][0]["codes"][0], "registration": answer["registration"]
    });
    assert_eq!(server.send("POST", "/api/v1/verify-email", "", &proof).0, 200);
    let access = server.sign_in(ANN, PASSWORD);
    let filler = "x".repeat(80);
    let mut acknowledged = 0;
    let refused = loop {
        let name = format!("{filler} {}", acknowledged + 1);
        let (status, answer) = server.send("PATCH", "/api/v1/me", &access, &json!({ "name": name }));
        if status != 200 {
            break (status, answer["code"].clone());
        }
        acknowledged += 1;
        assert!(acknowledged < 20_000, "the disk never fills");
    };
    assert_eq!(refused, (503, json!("unavailable")));
    let stored = |server: &Server| server.send("GET", "/api/v1/me", &access, &Value::Null);
    let (status, me) = stored(&server);
    assert_eq!(status, 200, "reads go on");
    assert_eq!(me["user"]["name"], format!("{filler} {acknowledged}"), "the last acknowledged one");
    assert_eq!(server.send("GET", "/health/live", "", &Value::Null).0, 200);
    // Room again: no restart is needed. The disk is seen through the process that has it.
    let data = place.path("data");
    let inside = format!("/proc/{}/root{}/ballast", server.pid(), data.display());
    std::fs::remove_file(inside).unwrap();
    let (status, answer) = server.send("PATCH", "/api/v1/me", &access, &json!({ "name": "Ann" }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(stored(&server).1["user"]["name"], "Ann");
    assert_eq!(server.stop(), Some(0));
}
