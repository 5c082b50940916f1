//! What is served beside the API and stands in no document: pages, texts, the mailbox of development. Found in the sources, so that
//! nothing is served that no rule is written for.
use super::document;
use crate::support::{PASSWORD, TestApp};
use crate::tidy::source::{Source, repository, rust_below};
use axum::http::Method;
use serde_json::json;
use std::collections::BTreeSet;

/// Who may see a route, and what it does for strangers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// A page for whoever has a link: it shows nothing of anybody's without one.
    Page,
    /// The form of such a page: nothing without a link, nothing from other sites.
    Form,
    /// The same text for everybody, about nobody.
    Text,
    /// Only on a machine where somebody develops.
    Development,
}
use Rule::{Development, Form, Page, Text};

/// Everything that is served by `.route(…)`. The routes of the profiles are made as those of the API are, stand in the document of a server
/// that has them on, and have their rules in `compat/routes.rs`.
pub const BESIDE: [(&str, &str, Rule); 24] = [
    ("GET", "/assets/page.css", Text),
    ("GET", "/dev/mailbox", Development),
    ("GET", "/dev/mailbox.json", Development),
    ("GET", "/docs", Text),
    ("GET", "/email/confirm", Page),
    ("POST", "/email/confirm", Form),
    ("GET", "/email/undo", Page),
    ("POST", "/email/undo", Form),
    ("GET", "/first-administrator", Page),
    ("POST", "/first-administrator", Form),
    ("GET", "/invitation", Page),
    ("POST", "/invitation", Form),
    ("GET", "/not-me", Page),
    ("POST", "/not-me", Form),
    ("GET", "/openapi.json", Text),
    ("GET", "/password/forgot", Page),
    ("POST", "/password/forgot", Form),
    ("GET", "/password/reset", Page),
    ("POST", "/password/reset", Form),
    ("GET", "/sign-in", Page),
    ("POST", "/sign-in", Form),
    ("POST", "/sign-in/code", Form),
    ("GET", "/verify-email", Page),
    ("POST", "/verify-email", Form),
];

/// Ways to serve something that this test could not read: they may stand in the one file that puts all together, which serves nothing by them.
const UNREADABLE: [&str; 9] = [
    ".nest(",
    ".nest_service(",
    ".route_service(",
    ".fallback(",
    ".fallback_service(",
    ".method_not_allowed_fallback(",
    "MethodRouter",
    ".on_service(",
    ".on::<",
];
/// Where those may stand.
const TOGETHER: &str = "router.rs";
/// What adds the routes of the API, each with its documentation, to which the other table is compared.
const DOCUMENTED: &str = "web/documented.rs";

/// The routes of a file, and what in it cannot be read.
fn routes_of(source: &Source) -> (Vec<(String, String)>, Vec<String>) {
    let (code, text): (Vec<char>, Vec<char>) = (source.code.chars().collect(), source.text.chars().collect());
    let (mut routes, mut odd) = (Vec::new(), Vec::new());
    let call: Vec<char> = ".route(".chars().collect();
    for at in (0..code.len()).filter(|at| code[*at..].starts_with(&call)) {
        let within = at + call.len();
        let mut depth = 1;
        let end = (within..code.len()).find(|at| {
            depth += i32::from(code[*at] == '(') - i32::from(code[*at] == ')');
            depth == 0
        });
        let end = end.expect("a call ends");
        let arguments: String = code[within..end].iter().collect();
        // Somebody asks for a route instead of adding one.
        if arguments.trim().is_empty() {
            continue;
        }
        let open = within + arguments.chars().take_while(|c| c.is_whitespace()).count();
        let close = (open + 1..end).find(|at| code[*at] == '"');
        let path: String = close.map(|close| text[open + 1..close].iter().collect()).unwrap_or_default();
        let handlers: String = close.map(|close| code[close + 1..end].iter().collect()).unwrap_or_default();
        let methods: Vec<&str> = ["get", "post", "put", "patch", "delete"]
            .into_iter()
            .filter(|method| {
                let called = [format!(" {method}("), format!(".{method}(")];
                called.iter().any(|call| handlers.replace('\n', " ").contains(call))
            })
            .collect();
        let other = ["any(", "on(", "head(", "options(", "trace(", "connect("];
        let readable = code[open] == '"' && path.starts_with('/') && !methods.is_empty();
        let called =
            |name: &&str| [format!(" {name}"), format!(".{name}")].iter().any(|call| handlers.contains(call));
        if !readable || other.iter().any(called) {
            odd.push(format!("{}: .route({})", source.path, text[within..end].iter().collect::<String>()));
        }
        routes.extend(methods.iter().map(|method| (method.to_uppercase(), path.clone())));
    }
    if source.path != TOGETHER {
        let found = UNREADABLE.iter().filter(|way| source.code.contains(*way));
        odd.extend(found.map(|way| format!("{}: {way}", source.path)));
    }
    (routes, odd)
}

#[test]
fn everything_that_is_served_beside_the_api_has_a_rule() {
    let sources = rust_below("crates/server/src");
    assert!(sources.iter().any(|source| source.path == TOGETHER), "the file that puts all together is there");
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    for source in sources.iter().filter(|source| source.path != DOCUMENTED) {
        let (routes, unread) = routes_of(source);
        found.extend(routes);
        odd.extend(unread);
    }
    assert_eq!(
        odd,
        Vec::<String>::new(),
        "name the path by a literal and the methods by get(…), post(…), put(…), patch(…), delete(…)"
    );
    let table: BTreeSet<_> =
        BESIDE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    let distinct: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!((found.len(), &distinct), (distinct.len(), &table));
    let document = document();
    for (method, path) in table {
        assert!(document["paths"][&path][method.to_lowercase()].is_null(), "{method} {path} has two rules");
    }
}

#[test]
fn what_adds_a_route_in_a_way_that_cannot_be_read_is_found() {
    let read = |text: &str| routes_of(&Source::new("x.rs", text));
    let found = read(
        "Router::new().route(\"/a\", get(show).post(take)).route(\n    \"/b\",\n    delete(gone),\n) // .route(\"/c\", get(x))",
    );
    let names = |list: &[(&str, &str)]| {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(found, (names(&[("GET", "/a"), ("POST", "/a"), ("DELETE", "/b")]), Vec::new()));
    assert_eq!(read("self.route()"), (Vec::new(), Vec::new()));
    for odd in [
        "Router::new().route(PATH, get(show))",
        "Router::new().route(&format!(\"/{x}\"), get(show))",
        "Router::new().route(\"/a\", any(show))",
        "Router::new().route(\"/a\", handlers)",
        "Router::new().route(\"/a\", get(show).on(filter, take))",
        "Router::new().nest(\"/a\", routes())",
        "Router::new().route_service(\"/a\", files)",
        "Router::new().fallback(show)",
        "fn ways() -> MethodRouter<App> { get(show) }",
    ] {
        assert_eq!(read(odd).1.len(), 1, "{odd}");
    }
}

#[tokio::test]
async fn whoever_opens_a_page_sees_nothing_of_anybody_and_changes_nothing() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let body = json!({ "email": "bob@example.com", "password": PASSWORD });
    assert_eq!(server.client().post("/api/v1/register", body).await.status, 202);
    let link = format!("?token={}", server.mailed_token("bob@example.com", "/verify-email").await);
    let before = server.every_row();
    for (method, path, rule) in BESIDE {
        let queries = ["", &link, "?token=hp_vl_x", "?token=%00", "?token=a&token=b"];
        for query in queries.iter().filter(|_| method == "GET") {
            let shown = server.client().get(&format!("{path}{query}")).await;
            assert!(shown.status < 500, "{path}{query}: {}", shown.text);
            assert!(rule == Development || !shown.text.contains("ann@example.com"), "{path}{query}");
            let html = shown.header("content-type").starts_with("text/html");
            assert!(rule != Page || html || shown.status == 400, "{path}{query}: {}", shown.status);
        }
    }
    let after = server.every_row();
    let other = after.lines().zip(before.lines()).find(|(after, before)| after != before);
    assert!(after == before, "something was written: {other:?}");
}

#[tokio::test]
async fn forms_of_other_sites_and_without_a_link_do_nothing() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let form = [("token", "x"), ("password", PASSWORD), ("email", "bob@example.com"), ("otp", "123456")];
    for (method, path, rule) in BESIDE {
        if rule == Form {
            for origin in ["https://evil.example", "null"] {
                let mut foreign = server.client().with_header("origin", origin);
                let before = server.app.db.statements();
                let posted = foreign.post_form(path, &form).await;
                assert_eq!(posted.status, 403, "{path}: {}", posted.text);
                assert_eq!(server.app.db.statements(), before, "{path}: refused before anything is asked");
            }
            let own = server.client().post_form(path, &form).await;
            let expected = if path == "/password/forgot" { 200..300 } else { 400..500 };
            assert!(expected.contains(&own.status), "{path}: {} {}", own.status, own.text);
        }
        let other = if method == "GET" { Method::DELETE } else { Method::PUT };
        assert_eq!(server.client().send(other, path, None).await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn outside_of_development_there_is_no_mailbox() {
    let server = TestApp::start().await;
    server.sign_up("ann@example.com").await;
    let node = server.in_production().await;
    let stranger = node.client().get("/first-administrator?token=x").await;
    assert!(stranger.status >= 400 && stranger.status < 500, "{}", stranger.status);
    for (method, path, rule) in BESIDE {
        let called = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = node.client().send(called, path, None).await;
        assert_eq!(answer.status == 404, rule == Development, "{method} {path}: {}", answer.status);
    }
}

#[test]
fn the_examples_of_proxies_before_an_application_hand_every_page_to_hallpass() {
    for file in ["nginx.conf", "Caddyfile", "traefik.yaml"] {
        let text = std::fs::read_to_string(repository().join("deploy/proxies/protect").join(file)).unwrap();
        let text = text.replace("\\.", ".");
        for (_, path, rule) in BESIDE {
            if matches!(rule, Page | Form) || path == "/assets/page.css" {
                let ends =
                    |after: Option<char>| after.is_none_or(|c| !(c.is_alphanumeric() || "-./".contains(c)));
                let found = text
                    .match_indices(&path[1..])
                    .any(|(at, found)| ends(text[at + found.len()..].chars().next()));
                assert!(found, "{file} lets the application have {path}");
            }
        }
    }
}

/// The paths of the ingress, and whether what lies below them belongs to them.
fn ingress() -> Vec<(String, bool)> {
    let text = std::fs::read_to_string(repository().join("deploy/kubernetes/ingress.yaml")).unwrap();
    let word = |text: &str| text.split([',', '\n', '}']).next().unwrap_or_default().trim().to_owned();
    let after = |text: &str, key: &str| text.split(key).nth(1).map(word).unwrap_or_default();
    let entries = text.split("path: ").skip(1);
    entries.map(|entry| (word(entry), after(entry, "pathType: ") == "Prefix")).collect()
}

#[test]
fn the_ingress_lets_everything_through_that_people_and_services_need_and_nothing_for_those_inside() {
    let ingress = ingress();
    let open = |path: &str| {
        let below = |at: &str| path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
        ingress.iter().any(|(at, prefix)| path == at || *prefix && below(at))
    };
    let mut needed: Vec<String> = BESIDE
        .iter()
        .filter(|(_, path, rule)| matches!(rule, Page | Form) || path.starts_with("/assets/"))
        .map(|(_, path, _)| (*path).to_owned())
        .collect();
    let document = document();
    needed.extend(
        document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/api/")).cloned(),
    );
    needed.extend(["/.well-known/jwks.json", "/health/live", "/api/auth/login"].map(str::to_owned));
    let missing: Vec<_> = needed.iter().filter(|path| !open(path)).collect();
    assert!(needed.len() > 50 && missing.is_empty(), "not reached through the ingress: {missing:?}");
    for inside in
        ["/", "/metrics", "/docs", "/health/ready", "/forward-auth", "/dev/mailbox", "/dev/mailbox.json"]
    {
        assert!(!open(inside), "{inside} is for those inside");
    }
}
