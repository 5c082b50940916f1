//! Front ends of Authy's family that call without credentials, so that browsers neither send nor keep cookies.
use super::authy::{login, mailed_path, register, with_ann};
use super::{ANN, OTHERS_PASSWORD, authy as start, told};
use serde_json::json;

#[tokio::test]
async fn address_and_code_do_for_a_front_end_that_keeps_no_cookies() {
    let (server, _) = with_ann().await;
    login(&mut server.client(), ANN).await;
    let otp = server.mailed_code(ANN).await;
    let guess = if otp == "123456" { "654321" } else { "123456" };
    for (email, code, said) in [
        (ANN, guess, "Invalid OTP"),
        ("nobody@example.com", otp.as_str(), "OTP expired"),
        ("ann@example.org", otp.as_str(), "OTP expired"),
    ] {
        let body = json!({ "email": email, "otp": code });
        assert_eq!(told(&server.client().post("/api/v1/verify", body).await), (400, said), "{email}");
    }
    let body = json!({ "email": ANN, "otp": otp });
    let entered = server.client().post("/api/v1/verify", body.clone()).await;
    assert_eq!(entered.status, 200, "{}", entered.text);
    assert_eq!(
        told(&server.client().post("/api/v1/verify", body).await),
        (400, "OTP expired"),
        "it serves once"
    );
}

#[tokio::test]
async fn a_link_posted_without_cookies_mails_the_way_to_a_password() {
    let server = start().await;
    register(&mut server.client(), ANN).await;
    let path = mailed_path(&server, ANN).await;
    let verified = server.client().post_nothing(&path).await;
    assert_eq!((verified.status, &verified.json["status"]), (201, &json!("password_required")));
    let token = server.mailed_token(ANN, "/password/reset").await;
    let chosen = [("token", token.as_str()), ("password", OTHERS_PASSWORD)];
    let page = server.client().post_form("/password/reset", &chosen).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let body = json!({ "email": ANN, "password": OTHERS_PASSWORD });
    assert_eq!(server.client().post("/api/v1/login", body).await.status, 200);
}
