//! U+0000, which PostgreSQL keeps in no text: wherever a client can write one, the answer is a proper one.
use crate::every_route::beside::BESIDE;
use crate::support::{Client, PASSWORD, TestApp};
use axum::http::Method;
use hallpass::openapi;
use hallpass::service_keys::Scope;
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

/// Everybody who may call: a stranger, a user, an administrator and a service.
async fn callers(server: &TestApp) -> [Client; 4] {
    let mut ann = server.signed_in(ANN).await;
    let boss = server.boss().await;
    let (_, secret) =
        server.service_key("shop", &[Scope::Authorize, Scope::Introspect, Scope::Revocations], None).await;
    let mut shop = server.client();
    shop.bearer = Some(secret);
    assert_eq!(ann.get("/api/v1/me").await.status, 200);
    [server.client(), ann, boss, shop]
}

/// Each operation of the document, with the names of its parameters and of its fields.
struct Operation {
    method: Method,
    path: String,
    in_query: Vec<String>,
    fields: Vec<(String, Value)>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&openapi::document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let named = |place: &str| {
                let all = operation["parameters"].as_array().cloned().unwrap_or_default();
                let here = all.into_iter().filter(|one| one["in"] == place);
                here.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let content = operation["requestBody"]["content"].as_object().cloned().unwrap_or_default();
            let fields = content.values().flat_map(|kind| fields(&document, &kind["schema"])).collect();
            operations.push(Operation {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                in_query: named("query"),
                fields,
            });
        }
    }
    operations
}

/// Names and schemas of the fields of an object, references followed.
fn fields(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    if let Some(name) = schema["$ref"].as_str() {
        return fields(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    let parts = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|kind| schema[kind].as_array());
    let inner = parts.flatten().flat_map(|part| fields(document, part));
    let own = schema["properties"].as_object().cloned().unwrap_or_default();
    own.into_iter().chain(inner).collect()
}

/// A value that passes, as far as one can be made up, so that the odd one beside it is what is looked at.
fn good(name: &str, schema: &Value) -> Value {
    match name {
        "email" | "newEmail" => json!("new@example.com"),
        "identifier" => json!(ANN),
        "password" | "currentPassword" | "newPassword" => json!(PASSWORD),
        "permissions" => json!(["orders:read"]),
        "roles" => json!(["user"]),
        "scopes" => json!(["introspect"]),
        "types" => json!(["user.created"]),
        "url" => json!("https://example.com/hook"),
        _ if is_list(schema) => json!([]),
        _ if is(schema, "boolean") => json!(false),
        _ if is(schema, "integer") => json!(3600),
        _ if is(schema, "object") => json!({}),
        _ => json!("text"),
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    schema["type"] == kind || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
}

fn is_list(schema: &Value) -> bool {
    is(schema, "array")
}

/// Texts with the character in them, in the form that the field has.
fn odd(name: &str, schema: &Value) -> Vec<Value> {
    let texts = match name {
        "email" | "newEmail" | "identifier" => vec!["\0", "a\0@example.com", "ann\0", "ann@example.com\0"],
        "password" | "currentPassword" | "newPassword" => vec!["\0", "correct horse\0battery staple"],
        _ => vec!["\0", "a\0b", "a:b\0"],
    };
    let wrap = |text: &str| match schema {
        schema if is_list(schema) => json!([text]),
        schema if is(schema, "object") => json!({ "id": text, "rawId": text, "type": text, "response": {
            "clientDataJSON": text, "attestationObject": text, "authenticatorData": text, "signature": text,
            "userHandle": text, "transports": [text] }, text: text }),
        _ => json!(text),
    };
    texts.into_iter().map(wrap).collect()
}

async fn send(client: &Client, operation: &Operation, path: &str, body: Option<&Value>) {
    let name = if path.contains("/roles/") { "if-none-match" } else { "if-match" };
    for header in ["if-match", name] {
        let mut client = client.clone().with_header(header, "*");
        let answer = client.send(operation.method.clone(), path, body.cloned()).await;
        assert!(answer.status < 500, "{} {path} {body:?}: {}", operation.method, answer.text);
    }
}

#[tokio::test]
async fn no_route_fails_for_a_text_that_no_database_keeps() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    let [stranger, mut ann, mut boss, mut shop] = callers(&server).await;
    let id = ann.get("/api/v1/me").await.json["user"]["id"].as_str().unwrap().to_owned();
    let mut tried = 0;
    for operation in operations() {
        let concrete = |odd_one: Option<&str>| {
            let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None => part.to_owned(),
                Some(name) if odd_one == Some(name) => "a%00b".into(),
                Some("name") => "editor".into(),
                Some(_) => id.clone(),
            };
            operation.path.split('/').map(part).collect::<Vec<_>>().join("/")
        };
        let named = operation.path.split('/').filter_map(|part| part.strip_prefix('{'));
        let mut calls: Vec<(String, Option<Value>)> = Vec::new();
        let whole: Value = operation
            .fields
            .iter()
            .map(|(name, schema)| (name.clone(), good(name, schema)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let has_body = !operation.fields.is_empty();
        for name in named {
            calls.push((concrete(Some(name.trim_end_matches('}'))), has_body.then(|| whole.clone())));
        }
        for name in &operation.in_query {
            for text in ["%00", "a%00b", "ann%40example.com%00"] {
                calls.push((format!("{}?{name}={text}", concrete(None)), None));
            }
        }
        for (name, schema) in &operation.fields {
            for value in odd(name, schema) {
                let mut body = whole.clone();
                body[name] = value.clone();
                calls.push((concrete(None), Some(body)));
                calls.push((concrete(None), Some(json!({ name: value }))));
            }
        }
        for (path, body) in &calls {
            tried += 1;
            for client in [&stranger, &ann, &boss, &shop] {
                send(client, &operation, path, body.as_ref()).await;
            }
        }
    }
    assert!(tried > 200, "{tried}");
    for client in [&mut ann, &mut boss] {
        assert_eq!(client.get("/api/v1/me").await.status, 200, "the sessions lived all the time");
    }
    assert_eq!(shop.get("/api/v1/revocations").await.status, 200);
}

#[tokio::test]
async fn the_pages_and_their_forms_answer_too() {
    let server = TestApp::start_with(|config| config.limits.enabled = false).await;
    // The one operation of the document that takes a form.
    let forms = [("POST", "/api/v1/introspect")];
    let beside = BESIDE.iter().map(|(method, path, _)| (*method, *path));
    for (method, path) in beside.chain(forms) {
        for odd in ["\0", "a\0b", "ann@example.com\0"] {
            let query = format!("{path}?token={0}&email={0}&to={0}", odd.replace('\0', "%00"));
            let fields = [("token", odd), ("password", odd), ("email", odd), ("otp", odd), ("name", odd)];
            let mut client = server.client();
            let answer = match method {
                "GET" => client.get(&query).await,
                _ => client.post_form(path, &fields).await,
            };
            assert!(answer.status < 500, "{method} {path}: {}", answer.text);
            assert!(![404, 405].contains(&answer.status), "{method} {path} is not served");
        }
    }
}
