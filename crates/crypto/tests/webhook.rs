//! Signatures of webhooks, against the worked example of the specification.
use hallpass_crypto::webhook::WebhookSecret;

#[test]
fn the_example_of_standard_webhooks_comes_out() {
    let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_comes_back_from_its_text_and_shows_itself_nowhere_else() {
    let secret = WebhookSecret::from_bytes([7; 32]);
    let text = secret.expose();
    assert!(text.starts_with("whsec_"));
    let again = WebhookSecret::parse(&text).unwrap();
    assert_eq!(again.sign("a", 1, b"b"), secret.sign("a", 1, b"b"));
    assert_eq!(format!("{secret:?}"), "WebhookSecret(redacted)");
}

#[test]
fn what_is_no_secret_is_refused() {
    let short = "whsec_MfKQ9r8GKYo=";
    for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%", short] {
        assert!(WebhookSecret::parse(text).is_none(), "{text}");
    }
    let long = format!("whsec_{}", data_encoding::BASE64.encode(&[1; 65]));
    assert!(WebhookSecret::parse(&long).is_none());
}
