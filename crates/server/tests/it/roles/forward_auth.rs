//! What reverse proxies are told; `deploy/proxies` and `make proxies` try real ones.
use super::ANN;
use crate::support::{Client, PASSWORD, TestApp};
use serde_json::json;

#[tokio::test]
async fn a_proxy_hears_who_it_is_and_whether_that_is_enough() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in_holding(ANN, &["orders:*"]).await;
    let me = ann.get("/api/v1/me").await.json;
    let told = ann.get("/forward-auth").await;
    assert_eq!((told.status, told.text.as_str()), (200, ""));
    assert_eq!(told.header("x-auth-user"), me["user"]["id"].as_str().unwrap());
    assert_eq!(told.header("x-auth-session"), me["session"]["id"].as_str().unwrap());
    assert_eq!((told.header("x-auth-email"), told.header("x-auth-roles")), (ANN, "for-ann,user"));
    assert_eq!(told.header("cache-control"), "no-store");
    for (query, status) in [
        ("permission=orders:read", 200),
        ("permission=orders:read,orders:write", 200),
        ("permission=orders:read,%20invoices:read", 403),
        ("role=admin", 403),
        ("role=admin,for-ann", 200),
        ("role=for-ann&permission=invoices:read", 403),
        ("permission=orders", 422),
        ("permission=orders:*", 422),
        // Slips in a configuration that must not let everybody in.
        ("permissions=orders:read", 422),
        ("roles=admin", 422),
        ("permission=", 422),
        ("permission=invoices:read&permission=orders:read", 422),
        ("permission=,", 422),
        ("permission=%20,", 422),
        ("permission=,%20,", 422),
        ("permission=orders:read,", 422),
        ("role=,", 422),
        ("role=%20,", 422),
        ("role=%20", 422),
        ("role=,&permission=orders:read", 422),
        ("role=for-ann,,admin", 422),
    ] {
        let answer = ann.get(&format!("/forward-auth?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert_eq!(answer.headers.contains_key("x-auth-user"), status == 200, "{query}");
    }
    let stranger = server.client().get("/forward-auth").await;
    assert_eq!((stranger.status, stranger.code()), (401, "unauthenticated"));
    ann.post_nothing("/api/v1/logout").await;
    assert_eq!(ann.get("/forward-auth").await.code(), "session_revoked");
}

#[tokio::test]
async fn whoever_looks_at_what_somebody_sees_does_nothing_in_their_place() {
    let server = TestApp::start().await;
    let mut ann = server.signed_in(ANN).await;
    let mut boss = server.boss().await;
    let id = ann.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/users/{id}/impersonate");
    let begun = boss.post(&path, json!({ "reason": "Ticket 4711" })).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let mut acting = server.client();
    acting.bearer = begun.json["accessToken"].as_str().map(str::to_owned);
    let looking = acting.clone().with_header("x-forwarded-method", "GET").get("/forward-auth").await;
    assert_eq!((looking.status, looking.header("x-auth-user")), (200, id.as_str()));
    assert!(!looking.header("x-auth-actor").is_empty());
    let doing = acting.clone().with_header("x-forwarded-method", "POST").get("/forward-auth").await;
    assert_eq!((doing.status, doing.code()), (403, "impersonated"));
    let untold = acting.get("/forward-auth").await;
    assert_eq!(untold.code(), "impersonated", "a proxy that tells no method");
}

async fn browser(server: &TestApp) -> Client {
    server.sign_up(ANN).await;
    let mut browser = server.client();
    let body = json!({ "email": ANN, "password": PASSWORD, "tokenDelivery": "cookies" });
    assert_eq!(browser.post("/api/v1/login", body).await.status, 200);
    browser
}

#[tokio::test]
async fn a_cookie_opens_what_other_sites_cannot_have_caused() {
    let server = TestApp::start().await;
    let browser = browser(&server).await;
    let token = browser.cookie("csrfToken").unwrap().to_owned();
    let ask = async |headers: &[(&str, &str)]| {
        let mut client = browser.clone();
        for (name, value) in headers {
            client = client.with_header(name, value);
        }
        let answer = client.get("/forward-auth").await;
        (answer.status, answer.code().to_owned())
    };
    let fine = (200, String::new());
    let forged = (403, "csrf_failed".to_owned());
    let with = ("x-csrf-token", token.as_str());
    assert_eq!(ask(&[("x-forwarded-method", "GET")]).await, fine);
    assert_eq!(ask(&[("x-original-method", "HEAD")]).await, fine);
    assert_eq!(ask(&[("x-forwarded-method", "POST")]).await, forged);
    assert_eq!(ask(&[("x-forwarded-method", "POST"), with]).await, fine);
    assert_eq!(ask(&[("x-forwarded-method", "GET"), ("x-original-method", "POST")]).await, forged);
    assert_eq!(ask(&[("x-original-method", "get out")]).await, forged);
    assert_eq!(ask(&[]).await, forged, "a proxy that tells no method");
    assert_eq!(ask(&[with]).await, fine);
    let foreign = [("x-forwarded-method", "POST"), ("origin", "https://evil.example"), with];
    assert_eq!(ask(&foreign).await, (403, "origin_not_allowed".into()));
}

#[tokio::test]
async fn a_browser_that_opens_a_page_is_sent_to_sign_in_and_only_back_to_a_known_place() {
    let server = TestApp::start_with(|config| {
        config.forward_auth.sign_in_url = Some("https://app.example.com/sign-in?theme=dark".into());
        config.server.allowed_origins = vec!["https://shop.example.com".into()];
    })
    .await;
    let ask = async |headers: &[(&str, &str)]| {
        let mut client = server.client();
        for (name, value) in headers {
            client = client.with_header(name, value);
        }
        let answer = client.get("/forward-auth").await;
        (answer.status, answer.header("location").to_owned())
    };
    let (html, get) = (("accept", "text/html,*/*"), ("x-forwarded-method", "GET"));
    let (uri, proto) = (("x-forwarded-uri", "/orders?page=2&x=a%20b"), ("x-forwarded-proto", "https"));
    let known = ("x-forwarded-host", "shop.example.com");
    let back = "https://app.example.com/sign-in?theme=dark&return_to=https%3A%2F%2Fshop.example.com%2Forders%3Fpage%3D2%26x%3Da%2520b";
    assert_eq!(ask(&[html, get, uri, proto, known]).await, (302, back.into()));
    let bare = (302, "https://app.example.com/sign-in?theme=dark".into());
    assert_eq!(ask(&[html, get, uri, proto, ("x-forwarded-host", "evil.example")]).await, bare);
    assert_eq!(ask(&[html, get, uri, ("x-forwarded-proto", "javascript"), known]).await, bare);
    let refused = (401, String::new());
    assert_eq!(ask(&[html, get, proto, known]).await, refused, "nginx knows no redirection here");
    assert_eq!(ask(&[("accept", "application/json"), get, uri, proto, known]).await, refused);
    assert_eq!(ask(&[html, ("x-forwarded-method", "POST"), uri, proto, known]).await, refused);
    let without = TestApp::start().await;
    let mut client = without.client().with_header("accept", "text/html").with_header("x-forwarded-uri", "/");
    assert_eq!(client.get("/forward-auth").await.status, 401);
}
