//! A service that is not Hallpass, with guarded routes. See the crate's README for a tour.
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use hallpass_verify::{Caller, Denied, Stale, Verifier};
use serde_json::{Value, json};
use std::error::Error;
use std::io::Write;

async fn hello(caller: Caller) -> Json<Value> {
    Json(json!({ "hello": *caller.sub, "roles": *caller.roles, "session": *caller.sid }))
}

async fn admins(caller: Caller) -> Result<&'static str, Denied> {
    caller.require_role("admin")?;
    Ok("only administrators read this\n")
}

async fn orders(State(verifier): State<Verifier>, caller: Caller) -> Result<&'static str, Denied> {
    verifier.require_permissions(&caller, &["orders:read"]).await?;
    Ok("only who may read orders reads this\n")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let issuer = setting("ISSUER", "http://localhost:3000");
    let verifier = Verifier::builder(&issuer)
        .service_key(&setting("SERVICE_KEY", ""))
        .when_stale(Stale::Introspect)
        .build()?;
    let routes = Router::new()
        .route("/hello", get(hello))
        .route("/admins", get(admins))
        .route("/orders", get(orders))
        .with_state(verifier);
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:4000")).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    axum::serve(listener, routes).await?;
    Ok(())
}
