//! One account, from its making to its removal.
use super::process::Place;
use crate::support::{OTHER_PASSWORD, PASSWORD};
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

#[test]
fn an_account_that_a_lesser_administrator_made_begins_anew_and_its_link_is_handed_over() {
    let place = Place::migrated();
    place.run(&["role", "set", "clerk", "--permission", "hallpass:users:*"]).succeeds();
    let clerk = ["user", "create", "--email", "clerk@example.com", "--role", "clerk", "--password-stdin"];
    place.run_with(&clerk, PASSWORD).succeeds();
    let server = place.serve();
    let token = server.sign_in("clerk@example.com", PASSWORD);
    let body = json!({ "email": "ann@example.com", "password": PASSWORD, "emailVerified": true });
    assert_eq!(server.send("POST", "/api/v1/admin/users", &token, &body).0, 201);
    let inside = server.sign_in("ann@example.com", PASSWORD);
    let roles = |change: &[&str]| {
        place.run(&[&["user", "roles", "ann@example.com", "--json"], change].concat()).json()
    };
    let raised = roles(&["--add", "admin"]);
    assert_eq!(
        (&raised["changed"], &raised["beganAnew"], &raised["user"]["roles"], &raised["user"]["factors"]),
        (&json!(true), &json!(true), &json!(["admin", "user"]), &json!([]))
    );
    assert_eq!(server.me(&inside), 401);
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    assert_eq!(server.send("POST", "/api/v1/login", "", &body).0, 401);
    let token = raised["link"].as_str().unwrap().split_once("/password/reset?token=").unwrap().1;
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    assert_eq!(server.send("POST", "/api/v1/password/reset", "", &body).0, 200);
    let owner = server.sign_in("ann@example.com", OTHER_PASSWORD);
    let again = roles(&["--add", "clerk"]);
    assert_eq!(
        (&again["changed"], &again["beganAnew"], again.get("link")),
        (&json!(true), &json!(false), None),
        "it is the owner's from then on"
    );
    assert_eq!(roles(&["--add", "clerk"])["changed"], json!(false));
    assert_eq!((server.me(&owner), server.stop()), (200, Some(0)));
}
