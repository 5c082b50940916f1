//! One account, from its making to its removal.
use super::process::Place;
use crate::support::PASSWORD;
use serde_json::{Value, json};

#[test]
fn an_account_is_made_shown_changed_and_removed() {
    let place = Place::migrated();
    let create =
        ["user", "create", "--email", "Ann@Example.com", "--username", "ann", "--name", "Ann B", "--json"];
    let create = [&create[..], &["--role", "admin", "--password-stdin"]].concat();
    let made = place.run_with(&create, &format!("{PASSWORD}\n")).json();
    assert_eq!(made["user"]["roles"], json!(["admin", "user"]));
    assert_eq!(made["user"]["emailVerified"], json!(true));
    assert_eq!(made["link"], Value::Null);
    let id = made["user"]["id"].as_str().unwrap();
    for named in [id, "ann@EXAMPLE.com", "ANN"] {
        assert_eq!(place.run(&["user", "show", named, "--json"]).json()["user"]["id"].as_str(), Some(id));
    }
    let text = place.run(&["user", "show", "ann"]).succeeds().out;
    assert!(text.contains("Ann B") && text.contains("active") && !text.contains("argon2"), "{text}");
    for removal in
        [&["disable", "ann"][..], &["delete", "ann", "--yes"], &["roles", "ann", "--remove", "admin"]]
    {
        place.run(&[&["user"], removal].concat()).fails_with("Nobody else has the role admin");
    }
    place.run(&["user", "create", "--email", "a@example.com", "--role", "king"]).fails_with("no role king");
    place.run(&["role", "set", "king", "--permission", "realm:*"]).succeeds();
    place
        .run(&["user", "roles", "ann", "--remove", "admin", "--add", "king"])
        .fails_with("Nobody else has the role admin");
    place.run(&["user", "create", "--email", "b@example.com", "--role", "admin"]).succeeds();
    let roles = place.run(&["user", "roles", "ann", "--remove", "admin", "--add", "king", "--json"]).json();
    assert_eq!(
        (&roles["user"]["roles"], &roles["user"]["permissions"]),
        (&json!(["king", "user"]), &json!(["realm:*"]))
    );
    place.run(&["role", "delete", "king", "--yes"]).fails_with("Somebody has this role");
    place.run(&["user", "delete", "b@example.com", "--yes"]).fails_with("Nobody else has the role admin");
    let disabled = place.run(&["user", "disable", "ann", "--json"]).json();
    assert_eq!((&disabled["user"]["status"], &disabled["changed"]), (&json!("disabled"), &json!(true)));
    assert_eq!(place.run(&["user", "disable", "ann", "--json"]).json()["changed"], json!(false));
    place.run(&["user", "set-password", "ann"]).fails_with("enable it first");
    assert_eq!(place.run(&["user", "enable", "ann", "--json"]).json()["user"]["status"], json!("active"));
    place.run(&["user", "delete", "ann"]).fails_with("add --yes");
    assert_eq!(place.users(), ["Ann@example.com", "b@example.com"]);
    place.run(&["user", "delete", "ann", "--yes"]).succeeds();
    assert_eq!(place.users(), ["b@example.com"]);
    place.run(&["role", "delete", "king", "--yes"]).succeeds();
    place.run(&["role", "delete", "king", "--yes"]).fails_with("there is no role king");
    for action in ["show", "disable", "enable", "set-password", "delete"] {
        place.run(&["user", action, "ann"]).fails_with("there is no user \"ann\"");
    }
}
