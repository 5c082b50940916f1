//! Asking a running server how it is, as a container's health check does.
use super::process::Place;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn a_server_that_serves_is_healthy() {
    let place = Place::new();
    let server = place.serve();
    let url = format!("http://{}/health/ready", server.address);
    let said = place.run(&["health", "--url", &url, "--json"]).json();
    assert_eq!((&said["status"], &said["health"]["database"]), (&json!(200), &json!("ok")));
    let text = place.run(&["health", "--url", &url]).succeeds().out;
    assert!(text.contains("database: ok"), "{text}");
    let elsewhere = format!("http://{}/nowhere", server.address);
    assert_eq!(place.run(&["health", "--url", &elsewhere]).code, 1);
}

#[test]
fn the_settings_say_where_to_ask() {
    let place = Place::new();
    let server = place.serve();
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let place = Place::new().set("HALLPASS_LISTEN", &format!("0.0.0.0:{port}"));
    for flags in [&["health"][..], &["health", "--live"]] {
        place.run(flags).succeeds();
    }
    let said = place.run(&["health", "--live", "--json"]).json();
    assert_eq!(said["health"]["database"], json!("not asked"));
    assert_eq!(said["url"].as_str().unwrap(), format!("http://127.0.0.1:{port}/health/live"));
    assert!(!place.path("data").exists(), "asking makes nothing");
}

#[test]
fn whoever_does_not_answer_is_not_healthy() {
    let place = Place::new();
    // Taken and given back: nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    place.run(&["health", "--url", &format!("http://{free}/")]).fails_with("cannot connect");
    place.run(&["health", "--url", "https://auth.example.com/"]).fails_with("write it as http://");
    place.run(&["health", "--url", "here"]).fails_with("here: ");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    place.run(&["health", "--url", &url, "--timeout", "1"]).fails_with("no answer");
}

#[test]
fn what_answers_nonsense_is_not_healthy() {
    for answer in ["hello", "HTTP/1.1 5", "HTTP/1.1 503 no\r\n\r\n{\"status\":\"failing\"}", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        assert_eq!(Place::new().run(&["health", "--url", &url]).code, 1, "{answer}");
        server.join().unwrap();
    }
}
