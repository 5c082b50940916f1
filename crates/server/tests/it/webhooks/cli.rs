//! What operators do about webhooks, beside a server that runs.
use crate::cli::process::Place;
use crate::support::PASSWORD;
use crate::support::receiver::{Receiver, Reply};

/// Blocking work beside the receiver, which lives on this thread's runtime.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_set_up_beside_a_server_is_told_of_what_server_and_commands_do() {
    let receiver = Receiver::start(Reply::Status(200)).await;
    let url = receiver.url();
    let (place, server, made) = beside(move || {
        let place = Place::migrated();
        let server = place.serve();
        let made = place
            .run(&["webhook", "create", "--url", &url, "--event", "user.*,session.created", "--json"])
            .json();
        (place, server, made)
    })
    .await;
    let id = made["webhook"]["id"].as_str().unwrap().to_owned();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert_eq!(made["webhook"]["name"], "127.0.0.1");
    let (place, server, ping) = beside(move || {
        let ping = place.run(&["webhook", "ping", &id, "--json"]).json();
        place.add_user("ann@example.com");
        (place, (server, id), ping)
    })
    .await;
    let (server, id) = server;
    assert_eq!((&ping["taken"], &ping["status"]), (&true.into(), &200.into()));
    let got = receiver.wait_for(2).await;
    assert_eq!(got[0].json()["type"], "webhook.ping");
    assert_eq!(got[1].json()["type"], "user.created");
    assert_eq!(got[1].json()["data"]["user"]["email"], "ann@example.com");
    assert!(got.iter().all(|one| one.is_signed_by(&secret)));
    // By now the server has heard of the endpoint as well.
    let (place, server, id) = beside(move || {
        server.sign_in("ann@example.com", PASSWORD);
        let said = place.run(&["webhook", "list"]).succeeds();
        assert!(said.out.contains(&id) && !said.out.contains("whsec_"), "{said:?}");
        assert!(place.run(&["webhook", "show", &id]).succeeds().out.contains("session.created"));
        let rotated = place.run(&["webhook", "rotate-secret", &id, "--overlap", "1h", "--json"]).json();
        assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));
        let told = place.run(&["webhook", "deliveries", &id, "--json"]).json();
        let first = told["deliveries"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&first["type"], &first["state"]), (&"user.created".into(), &"delivered".into()));
        let delivery = first["id"].as_str().unwrap();
        assert_eq!(place.run(&["webhook", "replay", "--delivery", delivery, "--json"]).json()["replayed"], 1);
        assert_eq!(
            place.run(&["webhook", "replay", "--dead", &id, "--last", "3d", "--json"]).json()["replayed"],
            0
        );
        (place, server, id)
    })
    .await;
    let got = receiver.wait_for(4).await;
    assert_eq!(got[3].headers["webhook-id"], got[1].headers["webhook-id"]);
    beside(move || {
        assert_eq!(place.run(&["webhook", "disable", &id, "--json"]).json()["changed"], true);
        assert!(place.run(&["webhook", "list"]).out.contains("disabled (operator)"));
        assert_eq!(place.run(&["webhook", "enable", &id, "--json"]).json()["changed"], true);
        place.run(&["webhook", "delete", &id]).fails_with("--yes");
        place.run(&["webhook", "delete", &id, "--yes"]).succeeds();
        place.run(&["webhook", "show", &id]).fails_with("there is no");
        drop(server);
    })
    .await;
    assert_eq!(receiver.got().len(), 4);
}

#[test]
fn a_ping_that_is_not_taken_fails_with_the_reason() {
    let place = Place::migrated();
    let url = "https://10.0.0.1/hooks";
    let made = place.run(&["webhook", "create", "--url", url, "--event", "*", "--json"]).json();
    let said = place.run(&["webhook", "ping", made["webhook"]["id"].as_str().unwrap()]);
    said.fails_with("webhooks.allow_private");
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new();
    let commands = "create list show rotate-secret disable enable delete deliveries replay ping";
    for command in commands.split(' ') {
        let said = place.run(&["webhook", command, "--help"]).succeeds();
        assert!(said.out.contains("Example"), "{command}: {}", said.out);
    }
}

#[test]
fn what_is_no_endpoint_is_refused_with_a_sentence() {
    let place = Place::migrated();
    place.run(&["webhook", "show", "x"]).fails_with("is not the id");
    place.run(&["webhook", "create", "--url", "nonsense", "--event", "*"]).fails_with("is not an address");
    assert_eq!(place.run(&["webhook", "rotate-secret", "x", "--overlap", "8d"]).code, 2);
}
