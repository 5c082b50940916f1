//! An operator looks at factors, and removes those of somebody who lost them.
use crate::cli::process::Place;
use crate::support::{Client, PASSWORD};
use hallpass::admin::Actor;
use hallpass::admin::users::reset_factors;
use serde_json::{Value, json};

#[test]
fn an_operator_shows_factors_and_asks_before_removing_them() {
    let place = Place::migrated();
    place.add_user("ann@example.com");
    let shown = place.run(&["user", "factors", "ann@example.com", "--json"]).json();
    assert_eq!(shown["factors"]["password"], true);
    assert_eq!(shown["factors"]["totp"], Value::Null);
    assert!(place.run(&["user", "factors", "ann@example.com"]).succeeds().out.contains("authenticator app"));
    place.run(&["user", "reset-factors", "ann@example.com"]).fails_with("add --yes");
    let done = place.run(&["user", "reset-factors", "ann@example.com", "--yes", "--json"]).json();
    assert_eq!(done["sessionsEnded"], 0);
    let events = place.run(&["audit", "list", "--kind", "factors_reset"]).succeeds().out;
    assert!(events.contains("factors_reset"), "{events}");
}

#[tokio::test]
async fn a_reset_removes_every_factor_ends_all_sessions_and_tells_the_owner() {
    let server = crate::support::TestApp::start().await;
    let (mut ann, app, codes) = super::ann_with_an_app(&server).await;
    let mut waiting: Client = server.client();
    super::first_step(&mut waiting, "ann@example.com").await;
    let user = hallpass::users::find_login(&server.app.db, "ann@example.com").await.unwrap().unwrap().user;
    let client = hallpass::web::Client::local();
    let operator = Actor::operator(&client);
    assert_eq!(reset_factors(&server.app, &operator, user.id).await.unwrap(), 1);
    assert_eq!(ann.get("/api/v1/me").await.code(), "session_revoked");
    let over = waiting.post("/api/v1/verify", json!({ "otp": app.code(&server) })).await;
    assert_eq!(over.code(), "invalid_attempt");
    let over = waiting.post("/api/v1/verify", json!({ "otp": codes[0] })).await;
    assert_eq!(over.code(), "invalid_attempt");
    let mail = server.latest_mail("ann@example.com").await;
    assert_eq!(mail["subject"], "Your second factor at Hallpass was removed");
    let body = json!({ "email": "ann@example.com", "password": PASSWORD });
    assert!(server.client().post("/api/v1/login", body).await.json["accessToken"].is_string());
}
