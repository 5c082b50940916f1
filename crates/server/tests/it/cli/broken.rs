//! Whatever is broken, the operator reads a sentence that says what to do, and the exit code says no.
use super::process::{Place, overwrite};
use crate::support::mmdb;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[test]
fn the_port_is_taken() {
    let place = Place::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    place.run(&["serve", "--listen", &address]).fails_with("another process uses the port");
    place.run(&["serve", "--listen", "here"]).fails_with("server.listen");
}

#[test]
fn a_second_server_wants_the_same_data() {
    let place = Place::new();
    let server = place.serve();
    place.run(&SERVE).fails_with("another Hallpass server is running on the data");
    assert_eq!(server.stop(), Some(0));
    // The lock went with the process, however it ended.
    drop(place.serve());
    assert_eq!(place.serve().stop(), Some(0));
}

#[test]
fn the_folder_cannot_be_written() {
    // Root passes every permission check, so the folder is one that cannot exist.
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    let place = place.set("HALLPASS_DATA_DIR", "file/data");
    place.run(&SERVE).fails_with("HALLPASS_DATA_DIR");
    place.run(&["migrate"]).fails_with("HALLPASS_DATA_DIR");
    place.run(&["user", "list"]).fails_with("--data-dir");
    let read_only = Place::new().set("HALLPASS_DATA_DIR", "/proc");
    read_only.run(&SERVE).fails_with("make it writable");
    read_only.run(&["doctor"]).fails_with("make it writable");
}

#[test]
fn the_key_file_is_broken_open_or_missing() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    let key = place.path("data/secret.key");
    let good = fs::read_to_string(&key).unwrap();
    fs::write(&key, "half").unwrap();
    for command in [&SERVE[..], &["user", "list"], &["doctor"]] {
        place.run(command).fails_with("the key file is broken");
    }
    fs::write(&key, &good).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    for command in [&SERVE[..], &["keys", "list"], &["doctor"]] {
        place.run(command).fails_with("chmod 600");
    }
    fs::remove_file(&key).unwrap();
    for command in [&SERVE[..], &["user", "list"], &["doctor"]] {
        place.run(command).fails_with("secret.key is missing, and the database was made with it");
        assert!(!key.exists(), "no new key hides that the right one is missing");
    }
    // The data itself can still be saved.
    place.run(&["backup", "copy.db"]).succeeds();
}

#[test]
fn the_key_is_another_databases() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    let place = place.set("HALLPASS_SECRET_KEY", "q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA");
    for command in [&SERVE[..], &["user", "list"], &["doctor"]] {
        place.run(command).fails_with("keys.previous_secret_keys");
    }
    let former = fs::read_to_string(place.path("data/secret.key")).unwrap();
    let place = place.set("HALLPASS_KEYS__PREVIOUS_SECRET_KEYS", former.trim());
    place.run(&["doctor"]).succeeds();
    assert_eq!(place.serve().stop(), Some(0));
}

#[test]
fn the_database_is_something_else() {
    let place = Place::new();
    fs::create_dir(place.path("data")).unwrap();
    fs::write(place.database(), "Dear diary, ".repeat(1000)).unwrap();
    for command in [&SERVE[..], &["migrate"], &["user", "list"], &["backup", "copy.db"], &["doctor"]] {
        place.run(command).fails_with("hallpass restore");
    }
    assert!(!place.path("copy.db").exists());
    // A backup heals it.
    let other = Place::migrated();
    other.run(&["backup", "copy.db"]).succeeds();
    let backup = other.path("copy.db");
    place.run(&["restore", backup.to_str().unwrap(), "--yes"]).succeeds();
    assert!(place.users().is_empty());
}

#[test]
fn a_page_of_the_database_is_damaged() {
    let place = Place::migrated();
    for number in 0..3 {
        place.run(&["user", "create", "--email", &format!("user{number}@example.com")]).succeeds();
    }
    let length = fs::metadata(place.database()).unwrap().len();
    let page = 4096;
    let whole = fs::read(place.database()).unwrap();
    for number in 1..length / page {
        overwrite(&place.database(), number * page, &[0xa5; 4096]);
        place.run(&["doctor"]).fails_with("fail  database");
        place.run(&["backup", "copy.db"]).fails_with("data/hallpass.db");
        assert!(!place.path("copy.db").exists());
        fs::write(place.database(), &whole).unwrap();
    }
    let rest = vec![0xa5; usize::try_from(length - page).unwrap()];
    overwrite(&place.database(), page, &rest);
    for command in [&SERVE[..], &["migrate"], &["user", "list"], &["user", "disable", "user1@example.com"]] {
        place.run(command).fails_with("malformed");
    }
}

#[test]
fn the_backup_is_none() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    place.run(&["restore", "copy.db", "--yes"]).fails_with("cannot read the backup");
    fs::write(place.path("copy.db"), "Dear diary").unwrap();
    place.run(&["restore", "copy.db", "--yes"]).fails_with("is not a backup");
    place.run(&["restore", "data/hallpass.db", "--yes"]).fails_with("the database itself");
    place.run(&["backup", "good.db"]).succeeds();
    let whole = fs::read(place.path("good.db")).unwrap();
    fs::write(place.path("copy.db"), &whole[..whole.len() / 2]).unwrap();
    place.run(&["restore", "copy.db", "--yes"]).fails_with("nothing was restored");
    fs::write(place.path("copy.db"), &whole).unwrap();
    overwrite(&place.path("copy.db"), 4096, &[0xa5; 4096]);
    place.run(&["restore", "copy.db", "--yes"]).fails_with("nothing was restored");
    assert_eq!(place.users(), ["ann@example.com"]);
    let names = fs::read_dir(place.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().contains("restor")), "nothing is left over");
}

#[test]
fn a_backup_came_without_its_key() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    place.run(&["backup", "copy.db"]).succeeds();
    let other = Place::migrated();
    other.add_user("bob@example.com");
    let backup = place.path("copy.db");
    let said = other.run(&["restore", backup.to_str().unwrap(), "--yes"]).succeeds();
    assert!(said.out.contains("keys.secret_key"), "{said:?}");
    other.run(&SERVE).fails_with("not the secret key");
}

#[test]
fn the_file_of_places_is_broken() {
    let place = Place::migrated();
    let settings = |kind: &str, cut: usize| {
        let mut bytes = mmdb::file(kind, &[("203.0.113.9", "Sweden", "Linköping")]);
        bytes.drain(..cut);
        fs::write(place.path("places.mmdb"), bytes).unwrap();
        let text = format!("[geoip]\ndatabase = '{}'\n", place.path("places.mmdb").display());
        fs::write(place.path("hallpass.toml"), text).unwrap();
    };
    settings("GeoLite2-ASN", 0);
    for command in [&SERVE[..], &["doctor"]] {
        place.run(command).fails_with("use one of cities or countries");
    }
    settings("GeoLite2-City", 40);
    place.run(&["doctor"]).fails_with("geoip.database");
    place.run(&["user", "list"]).succeeds();
    settings("GeoLite2-City", 0);
    let said = place.run(&["doctor"]).succeeds();
    assert!(said.out.contains("places.mmdb (GeoLite2-City)"), "{said:?}");
}

#[test]
fn the_settings_file_is_broken() {
    let place = Place::new();
    place.run(&["--config", "none.toml", "config"]).fails_with("none.toml");
    fs::write(place.path("hallpass.toml"), "[sessions]\nlife = \"10m\"\n").unwrap();
    for command in [&SERVE[..], &["config"], &["doctor"], &["user", "list"]] {
        place.run(command).fails_with("life");
    }
}

#[test]
fn a_settings_file_with_a_mistake_beside_a_secret_is_not_quoted() {
    let place = Place::new();
    for text in [
        "[keys]\nsecret_key = \"q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA\n",
        "[keys]\nsecret_key = q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA\n",
        "[keys]\nsecret_key = [\"q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA\"]\n",
        "keys.secret_key = \"q8Zt3Wm1Xv7Lr5Kd9Yb2Hn4Js6Pf0GcA\" x\n",
    ] {
        fs::write(place.path("hallpass.toml"), text).unwrap();
        let said = place.run(&["config"]);
        said.fails_with("hallpass");
        assert!(!format!("{}{}", said.out, said.err).contains("q8Zt3Wm1"), "{said:?}");
    }
}

#[test]
fn root_runs_a_command_beside_the_servers_user() {
    // Only root can give files away, so elsewhere there is nothing to see.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::migrated();
    let (folder, key) = (place.path("data"), place.path("data/secret.key"));
    for file in [&folder, &place.database()] {
        std::os::unix::fs::chown(file, Some(4321), Some(4321)).unwrap();
    }
    place.add_user("ann@example.com");
    place.run(&["backup", "copy.db"]).succeeds();
    place.run(&["restore", "copy.db", "--yes"]).succeeds();
    let owner = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().uid();
    for name in ["secret.key", "hallpass.db", "hallpass.db.lock"] {
        assert_eq!(owner(&folder.join(name)), 4321, "{name}");
    }
    // A link in the folder must not make root give away what it names.
    let (precious, lock) = (place.path("precious"), place.path("data/hallpass.db.lock"));
    fs::rename(&key, &precious).unwrap();
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::chown(&precious, Some(0), Some(0)).unwrap();
    std::os::unix::fs::symlink(&precious, &key).unwrap();
    std::os::unix::fs::symlink(&precious, &lock).unwrap();
    place.run(&["user", "list"]).succeeds();
    place.run(&SERVE).fails_with("cannot lock");
    assert_eq!(fs::read_to_string(&precious).unwrap().len(), 44, "it is as it was");
    assert_eq!(owner(&precious), 0);
}
