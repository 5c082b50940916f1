//! Imports that are killed, begun twice, or run beside each other and beside a server.
use super::{BCRYPT, Here, refused};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Instant;

const MANY: usize = 6000;

/// Accounts, each tenth refused.
fn write_many(here: &Here, name: &str, offset: usize) {
    let record = |number: usize| {
        let email = if number % 10 == 9 {
            "nobody".into()
        } else {
            format!("user{:05}@example.com", number + offset)
        };
        json!({ "email": email, "externalId": number.to_string(), "passwordHash": BCRYPT })
    };
    here.write_lines(name, &(0..MANY).map(record).collect::<Vec<Value>>());
}

fn everybody_is_there_once(here: &Here) {
    let addresses = here.addresses();
    assert_eq!(addresses.len(), MANY * 9 / 10);
    let ids = here.lines("ids.jsonl");
    assert_eq!(ids.len(), addresses.len(), "each account is in the list of ids once");
    let mut listed: Vec<&str> = ids.iter().map(|line| line["id"].as_str().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, here.texts("select id from users order by id"));
    let report = here.lines("report.jsonl");
    let lines: Vec<(u64, &str)> =
        (1..=MANY as u64).filter(|line| line % 10 == 0).map(|line| (line, "invalid_email")).collect();
    assert_eq!(refused(&report), lines, "each refused line is in the report once");
}

#[test]
fn an_import_that_was_killed_goes_on_without_doubling_or_losing_anybody() {
    let here = Here::new();
    write_many(&here, "users.jsonl", 0);
    let command =
        ["import", "users.jsonl", "--batch", "100", "--report", "report.jsonl", "--ids", "ids.jsonl"];
    let resume = [&command[..], &["--resume"]].concat();
    let mut kills = 0;
    loop {
        let arguments = if kills == 0 { &command[..] } else { &resume[..] };
        let before = here.addresses().len();
        let mut child = here.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let finished = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            let stored = here.addresses().len();
            if kills < 4 && stored > before || begun.elapsed().as_secs() > 60 {
                break None;
            }
        };
        match finished {
            Some(status) => {
                assert_eq!(status.code(), Some(4));
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
    }
    assert!(kills >= 2, "it was killed {kills} times");
    everybody_is_there_once(&here);
    let said = here.run(&resume);
    assert!(said.out.contains("imported before"), "{said:?}");
    assert!(here.run(&["audit", "verify"]).succeeds().out.contains("whole"));
}

#[test]
fn an_interrupted_import_goes_on_only_when_told_to() {
    let here = Here::new();
    write_many(&here, "users.jsonl", 0);
    let mut child = here
        .command(&["import", "users.jsonl", "--batch", "100"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while here.addresses().is_empty() {
        assert!(child.try_wait().unwrap().is_none());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    here.run(&["import", "users.jsonl"]).fails_with("--resume");
    let sums = here.import(&["users.jsonl", "--resume"]);
    assert!(sums["resumedAfter"].as_u64().unwrap() > 0, "{sums}");
    assert_eq!(here.addresses().len(), MANY * 9 / 10);
    let again = here.import(&["users.jsonl", "--again"]);
    assert_eq!((&again["imported"], &again["refused"]), (&json!(0), &json!(MANY)));
}

#[test]
fn of_two_imports_of_one_file_nobody_is_doubled() {
    let here = Here::new();
    write_many(&here, "users.jsonl", 0);
    let start = || {
        let mut command = here.command(&["import", "users.jsonl", "--batch", "50"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let codes: Vec<_> = both.iter().map(|output| output.status.code().unwrap()).collect();
    assert!(codes.iter().all(|code| [0, 1, 4].contains(code)), "{both:?}");
    if !codes.contains(&4) {
        here.import(&["users.jsonl", "--resume"]);
    }
    assert_eq!(here.addresses().len(), MANY * 9 / 10);
}

#[test]
fn two_imports_of_overlapping_files_share_the_accounts_beside_a_server() {
    let here = Here::new();
    here.add_user("ann@example.com");
    let server = here.serve();
    write_many(&here, "one.jsonl", 0);
    // Half of them are the same, in the other order.
    write_many(&here, "two.jsonl", MANY / 2);
    let text = std::fs::read_to_string(here.path("two.jsonl")).unwrap();
    let reversed: Vec<&str> = text.lines().rev().collect();
    here.write("two.jsonl", &reversed.join("\n"));
    let start = |file: &str| {
        let mut command = here.command(&["import", file, "--batch", "200"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut children = [start("one.jsonl"), start("two.jsonl")];
    let token = server.sign_in("ann@example.com", crate::support::PASSWORD);
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        assert_eq!(server.me(&token), 200, "the server goes on");
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{output:?}");
    }
    assert_eq!(here.addresses().len(), MANY * 9 / 10 + MANY * 9 / 20 + 1);
}

#[test]
fn reports_are_private_and_never_written_over_something_else() {
    use std::os::unix::fs::PermissionsExt;
    let here = Here::new();
    here.write_lines("users.jsonl", &[json!({ "email": "nobody" })]);
    here.write("mine.txt", "precious");
    here.run(&["import", "users.jsonl", "--report", "mine.txt"]).fails_with("mine.txt");
    assert_eq!(std::fs::read_to_string(here.path("mine.txt")).unwrap(), "precious");
    here.import(&["users.jsonl", "--report", "report.jsonl"]);
    let mode = std::fs::metadata(here.path("report.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn going_on_writes_over_nothing_of_which_no_import_is_known() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let here = Here::new();
    here.write_lines("users.jsonl", &[json!({ "email": "nobody" })]);
    here.write("mine.txt", "precious");
    here.write("empty.txt", "");
    for (link, target) in [("link", "mine.txt"), ("link-to-empty", "empty.txt"), ("link-to-none", "none.txt")]
    {
        symlink(here.path(target), here.path(link)).unwrap();
    }
    for option in ["--report", "--ids"] {
        let import = |name: &str| here.run(&["import", "users.jsonl", "--resume", option, name]);
        import("mine.txt").fails_with("remove it, or name another file");
        for link in ["link", "link-to-empty", "link-to-none"] {
            import(link).fails_with("it is a link; name the file itself");
        }
        import(".").fails_with("cannot write .");
    }
    assert_eq!(std::fs::read_to_string(here.path("mine.txt")).unwrap(), "precious");
    assert!(!here.path("none.txt").exists());
    // What an import leaves that was interrupted before it had anything to tell.
    here.import(&["users.jsonl", "--resume", "--ids", "empty.txt", "--report", "new.jsonl"]);
    assert_eq!(refused(&here.lines("new.jsonl")), [(1, "invalid_email")]);
    let mode = std::fs::metadata(here.path("new.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn going_on_asks_for_the_files_of_the_interrupted_import() {
    let here = Here::new();
    here.write_lines("users.jsonl", &[json!({ "email": "nobody" }), json!({ "email": "ann@example.com" })]);
    here.import(&["users.jsonl", "--report", "report.jsonl"]);
    // As if it had been stopped before its end was written down.
    here.change("update imports set finished_at = null");
    let resume = |name: &str| here.run(&["import", "users.jsonl", "--resume", "--report", name]);
    resume("missing.jsonl").fails_with("give that one, or none");
    assert!(!here.path("missing.jsonl").exists());
    here.write("short.jsonl", "x");
    resume("short.jsonl").fails_with("give that one, or none");
    assert_eq!(std::fs::read_to_string(here.path("short.jsonl")).unwrap(), "x");
    std::os::unix::fs::symlink(here.path("report.jsonl"), here.path("link")).unwrap();
    resume("link").fails_with("it is a link");
    here.import(&["users.jsonl", "--resume", "--report", "report.jsonl"]);
    assert_eq!(refused(&here.lines("report.jsonl")), [(1, "invalid_email")]);
}

#[test]
fn going_on_writes_over_the_notes_of_a_part_that_was_not_stored() {
    let here = Here::new();
    here.write_lines(
        "users.jsonl",
        &[json!({ "email": "nobody" }), json!({ "email": "ann@example.com", "externalId": "1" })],
    );
    let command = ["import", "users.jsonl", "--report", "report.jsonl", "--ids", "ids.jsonl", "--json"];
    let resume = [&command[..], &["--resume"]].concat();
    here.run(&command);
    // As if it had been killed before its first part was stored: the notes are written first.
    let killed = || {
        here.change("delete from users");
        here.change(
            "update imports set records = 0, imported = 0, rejected = 0, report_bytes = 0, ids_bytes = 0, finished_at = null",
        );
    };
    killed();
    here.run(&command).fails_with("remove it, or name another file");
    let text = std::fs::read_to_string(here.path("report.jsonl")).unwrap();
    // The last line is cut off, too.
    here.write("report.jsonl", &format!("{text}{}", &text[..20]));
    assert_eq!(here.run(&resume).code, 4);
    assert_eq!(refused(&here.lines("report.jsonl")), [(1, "invalid_email")]);
    assert_eq!(here.lines("ids.jsonl").len(), 1);
    // What is no note stays, and so does what is older than the import.
    for other in [
        "precious",
        "{\"line\":1}\n",
        "{\"line\":1,\"message\":\"\",\"outcome\":\"\",\"reason\":\"\"}\nprecious",
    ] {
        killed();
        here.write("report.jsonl", other);
        here.run(&resume).fails_with("remove it, or name another file");
        assert_eq!(std::fs::read_to_string(here.path("report.jsonl")).unwrap(), other);
    }
    here.write("report.jsonl", &text);
    here.change("update imports set started_at = started_at + 60000000");
    here.run(&resume).fails_with("remove it, or name another file");
    assert_eq!(std::fs::read_to_string(here.path("report.jsonl")).unwrap(), text);
}

#[test]
fn an_import_that_made_no_account_is_not_taken_for_done() {
    let here = Here::new();
    here.write_lines("users.jsonl", &[json!({ "email": "ann@example.com", "roles": ["admin"] })]);
    let said = here.run(&["import", "users.jsonl"]);
    assert!(said.code == 4 && said.out.contains("may be imported with other options"), "{said:?}");
    assert_eq!(here.import(&["users.jsonl", "--may-drop", "roles"])["imported"], 1);
    assert_eq!(here.import(&["users.jsonl"])["state"], "imported_before");
}
