//! The OpenAPI document, from the handlers, and the reference page that shows it without loading anything from outside.
use crate::app::App;
use crate::config::Compat;
use crate::error::Code;
use crate::web::Routes;
use crate::{
    account, admin, compat, emails, factors, forward_auth, health, invitations, keys, known_devices, login,
    passkeys, passwords, services, sessions,
};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::get;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::OnceLock;
use utoipa::openapi::security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

/// What the document says of the server.
pub fn about() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Hallpass")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Accounts, sessions and tokens. Errors are RFC 9457 problem documents with a stable `code`; see /docs.",
        ))
        .license(Some(License::new("Apache-2.0 OR MIT")))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let service = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A service key, as `hallpass service-key create` prints it"))
            .build(),
    );
    let basic = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("Id of a service key, and the key"));
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", bearer)
        .security_scheme("serviceKey", service)
        .security_scheme("serviceBasic", SecurityScheme::Http(basic.build()))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// The routes of the API.
pub fn documented() -> Routes {
    Routes::new()
        .merge(login::routes())
        .merge(sessions::routes())
        .merge(known_devices::routes())
        .merge(account::routes())
        .merge(passkeys::routes())
        .merge(passwords::routes())
        .merge(factors::routes())
        .merge(emails::routes())
        .merge(invitations::routes())
        .merge(services::routes())
        .merge(forward_auth::routes())
        .merge(admin::routes())
        .merge(keys::routes())
        .merge(health::routes())
}

/// The document as checked in.
pub fn document() -> String {
    document_with(&Compat::default())
}

/// The document of a server with route profiles.
pub fn document_with(profiles: &Compat) -> String {
    let document = finish(&compat::documented(profiles, documented().document(about())));
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Says what holds for every operation alike: errors are problem documents, and what the one layer may answer.
fn finish(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let operations = document["paths"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    let operations = operations.filter_map(Value::as_object_mut).flat_map(serde_json::Map::values_mut);
    for operation in operations {
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, about) in [("408", "Too slow"), ("500", "A defect; the log has the cause")] {
            let problem = json!({ "description": about, "content": { "application/json": { "schema": {
                "$ref": "#/components/schemas/Problem" } } } });
            responses.entry(status).or_insert(problem);
        }
        for (status, response) in responses.iter_mut() {
            describe(status, response);
        }
    }
    document
}

fn describe(status: &str, response: &mut Value) {
    if status >= "400"
        && let Some(content) = response["content"].as_object_mut()
        && let Some(schema) = content.remove("application/json")
    {
        // The one exception: readiness answers its own body.
        let is_problem = schema["schema"]["$ref"].as_str().is_some_and(|name| name.ends_with("/Problem"));
        content
            .insert(if is_problem { "application/problem+json" } else { "application/json" }.into(), schema);
    }
    if response["description"].as_str().is_none_or(str::is_empty) {
        let number = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        response["description"] =
            number.and_then(|status| status.canonical_reason()).unwrap_or("Answer").into();
    }
}

/// The document and the page, made once for each set of profiles.
fn texts(profiles: &Compat) -> &'static (String, String) {
    static TEXTS: [OnceLock<(String, String)>; 4] = [const { OnceLock::new() }; 4];
    TEXTS[usize::from(profiles.authify) + 2 * usize::from(profiles.authy)].get_or_init(|| {
        let document = finish(&compat::documented(profiles, documented().document(about())));
        (document.to_string(), page(&document))
    })
}

/// `/openapi.json` and `/docs`.
pub fn routes(profiles: &Compat) -> Router<App> {
    let (for_json, for_page) = (profiles.clone(), profiles.clone());
    let json = move || async move { ([(CONTENT_TYPE, "application/json")], texts(&for_json).0.as_str()) };
    let policy =
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
    let html = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (HeaderName::from_static("content-security-policy"), policy),
    ];
    Router::new()
        .route("/openapi.json", get(json))
        .route("/docs", get(move || async move { (html, texts(&for_page).1.as_str()) }))
}

/// `docs/errors.md`.
pub fn errors_reference() -> String {
    let mut out = String::from(
        "# Errors\n\nGenerated by `make docs` from `crates/server/src/error.rs`. Every error is an RFC 9457 \
         `application/problem+json` document `{type, title, status, detail, code, errors?, requestId}`; compare `code`, \
         show `detail`.\n\n| code | status | what to do |\n| --- | --- | --- |\n",
    );
    for code in Code::ALL {
        let (status, name, sentence) = code.describe();
        let _ = writeln!(out, "| `{name}` | {status} | {sentence} |");
    }
    out
}

/// The reference as one static page.
fn page(document: &Value) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hallpass API</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"stylesheet\" href=\"/assets/page.css\"></head><body class=\"reference\"><main>\
         <h1>Hallpass API</h1><p>The machine-readable form is <a href=\"/openapi.json\">/openapi.json</a>.</p>",
    );
    let empty = serde_json::Map::new();
    for (path, methods) in document["paths"].as_object().unwrap_or(&empty) {
        for (method, operation) in methods.as_object().unwrap_or(&empty) {
            operation_section(&mut out, &method.to_uppercase(), path, operation, document);
        }
    }
    out.push_str("<h2 id=\"errors\">Errors</h2><table><thead><tr><th>code</th><th>status</th><th>what to do</th></tr></thead><tbody>");
    for code in Code::ALL {
        let (status, name, sentence) = code.describe();
        let sentence = escape(sentence);
        let _ = write!(
            out,
            "<tr id=\"{name}\"><td><code>{name}</code></td><td>{status}</td><td>{sentence}</td></tr>"
        );
    }
    out.push_str("</tbody></table></main></body></html>");
    out
}

fn operation_section(out: &mut String, method: &str, path: &str, operation: &Value, document: &Value) {
    let summary = escape(operation["summary"].as_str().unwrap_or_default());
    let _ = write!(out, "<section><h2><code>{method} {}</code></h2><p>{summary}</p>", escape(path));
    if operation["security"][0]["serviceKey"].is_array() {
        out.push_str("<p>Needs a service key.</p>");
    } else if operation["security"].is_array() {
        out.push_str("<p>Needs a session: Bearer token or access cookie.</p>");
    }
    let body = operation["requestBody"]["content"].as_object().and_then(|content| content.values().next());
    if let Some(schema) = body.and_then(|body| resolve(&body["schema"], document)) {
        fields(out, "Body", schema);
    }
    let empty = serde_json::Map::new();
    for (status, response) in operation["responses"].as_object().unwrap_or(&empty) {
        let content = response["content"].as_object().and_then(|content| content.values().next());
        let schema = content.and_then(|content| resolve(&content["schema"], document));
        match schema {
            Some(schema) if status.starts_with('2') => fields(out, &format!("Answer {status}"), schema),
            _ => {}
        }
    }
    let failures: Vec<&str> = operation["responses"]
        .as_object()
        .unwrap_or(&empty)
        .keys()
        .map(String::as_str)
        .filter(|status| *status >= "400")
        .collect();
    if !failures.is_empty() {
        let _ = write!(out, "<p>Errors: {}.</p>", failures.join(", "));
    }
    out.push_str("</section>");
}

fn fields(out: &mut String, title: &str, schema: &Value) {
    let mut properties = Vec::new();
    collect(schema, &mut properties);
    if properties.is_empty() {
        return;
    }
    let _ = write!(out, "<h3>{title}</h3><table><tbody>");
    for (name, property) in properties {
        let about = escape(property["description"].as_str().unwrap_or_default());
        let _ = write!(out, "<tr><td><code>{}</code></td><td>{about}</td></tr>", escape(name));
    }
    out.push_str("</tbody></table>");
}

fn collect<'v>(schema: &'v Value, out: &mut Vec<(&'v str, &'v Value)>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(part, out);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        out.push((name, property));
    }
}

fn resolve<'v>(schema: &'v Value, document: &'v Value) -> Option<&'v Value> {
    let mut parts = schema["oneOf"].as_array().into_iter().flatten();
    let reference = schema["$ref"].as_str().or_else(|| parts.find_map(|part| part["$ref"].as_str()));
    match reference.and_then(|path| path.rsplit('/').next()) {
        Some(name) => Some(&document["components"]["schemas"][name]),
        None => schema.is_object().then_some(schema),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
