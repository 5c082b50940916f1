//! Hooks: other systems that are asked before somebody registers or signs in, and may refuse.
//!
//! Invariants: a hook is asked outside every transaction, and never by a session check or a refresh. It hears no password and no code.
//! `before_register` is asked before anybody looks whether the address is known, so its word tells nothing of accounts (only whoever
//! has the mail of an invitation hears first that the address has an account);
//! `before_login` once everything is proven. Who is kept waiting is bounded in number and time; what happens when there is no word
//! is a setting. What a hook says reaches clients cut and without control characters.
use crate::app::App;
use crate::breaker::Breaker;
use crate::config::{OnFailure, check_url};
use crate::error::{Code, Error, Result};
use crate::ids::RowId;
use crate::names::Email;
use crate::outgoing::Call;
use crate::roles;
use crate::telemetry::Outcome;
use crate::users::User;
use crate::web::Client;
use axum::http::HeaderName;
use hallpass_crypto::webhook::WebhookSecret;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest answer that is read, in bytes.
const LONGEST: usize = 16 * 1024;
/// Longest message that is handed on, in characters.
const MESSAGE_MAX: usize = 300;
/// Longest code that is handed on.
const CODE_MAX: usize = 64;

/// A wish for an account.
pub struct Registration<'a> {
    /// Address; nobody knows yet whose it is.
    pub email: &'a Email,
    /// Public name.
    pub username: Option<&'a str>,
    /// Display name.
    pub name: Option<&'a str>,
    /// What the owner calls the device.
    pub device_name: Option<&'a str>,
    /// The invitation that is being accepted, if it is one.
    pub invitation: Option<RowId>,
}

/// A sign-in that would begin a session now.
pub struct SignIn<'a> {
    /// Who.
    pub user: &'a User,
    /// Whether the account comes into being with this sign-in, so that it has no id yet.
    pub is_new: bool,
    /// What was proven (RFC 8176), separated by spaces.
    pub amr: &'a str,
    /// What the owner calls the device.
    pub device_name: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum Hook {
    BeforeRegister,
    BeforeLogin,
}

/// What a hook says.
struct Word {
    allow: bool,
    message: Option<String>,
    code: Option<String>,
}

impl Word {
    /// An object with a boolean `allow`. What else is in it may be of any shape and in any encoding: a refusal stands, even if its
    /// reason cannot be read.
    fn read(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let Ok(Value::Object(said)) = serde_json::from_str(text.trim_start_matches('\u{feff}')) else {
            return None;
        };
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self { allow: said.get("allow")?.as_bool()?, message: text("message"), code: text("code") })
    }
}

/// Whether [`before_login`] asks anybody.
pub fn asks_before_login(app: &App) -> bool {
    app.config.hooks.before_login.is_some()
}

/// Asks `hooks.before_register`, if it is set.
///
/// # Errors
/// [`Code::RefusedByHook`], [`Code::HookFailed`].
pub async fn before_register(app: &App, client: &Client, wish: &Registration<'_>) -> Result<()> {
    if app.config.hooks.before_register.is_none() {
        return Ok(());
    }
    let data = json!({
        "email": wish.email.typed,
        "username": wish.username,
        "name": wish.name,
        "invitation": wish.invitation.map(|id| json!({ "id": id })),
        "client": about(client, wish.device_name),
    });
    ask(app, Hook::BeforeRegister, data).await
}

/// Asks `hooks.before_login`, if it is set.
///
/// # Errors
/// [`Code::RefusedByHook`], [`Code::HookFailed`].
pub async fn before_login(app: &App, client: &Client, sign_in: &SignIn<'_>) -> Result<()> {
    if !asks_before_login(app) {
        return Ok(());
    }
    let grants = roles::grants(app, &app.db, &sign_in.user.roles).await?;
    let mut user = serde_json::to_value(sign_in.user.view(&grants)).map_err(Error::internal)?;
    if sign_in.is_new {
        user["id"] = Value::Null;
    }
    let amr: Vec<&str> = sign_in.amr.split(' ').collect();
    let data = json!({ "user": user, "amr": amr, "client": about(client, sign_in.device_name) });
    ask(app, Hook::BeforeLogin, data).await
}

fn about(client: &Client, device_name: Option<&str>) -> Value {
    json!({ "ip": client.ip.to_string(), "userAgent": client.agent, "deviceName": device_name })
}

async fn ask(app: &App, hook: Hook, data: Value) -> Result<()> {
    let settings = &app.config.hooks;
    let (kind, url, rule, breaker) = match hook {
        Hook::BeforeRegister => {
            let rule = settings.before_register_on_failure;
            ("before_register", &settings.before_register, rule, &app.breakers.before_register)
        }
        Hook::BeforeLogin => {
            let rule = settings.before_login_on_failure;
            ("before_login", &settings.before_login, rule, &app.breakers.before_login)
        }
    };
    let heard = match url {
        Some(url) => hear(app, breaker, kind, url, data).await,
        None => return Ok(()),
    };
    let (outcome, result) = match heard {
        Ok(Word { allow: true, .. }) => ("allowed", Ok(())),
        Ok(word) => ("refused", Err(refusal(word))),
        Err(reason) => {
            tracing::warn!(hook = kind, reason, "a hook could not be asked");
            let result = match rule.unwrap_or(OnFailure::Refuse) {
                OnFailure::Allow => Ok(()),
                OnFailure::Refuse => Err(Error::new(Code::HookFailed).caused_by(reason)),
            };
            ("failed", result)
        }
    };
    app.metrics.hooks.get_or_create(&Outcome { outcome }).inc();
    result
}

/// The hook's word; or why there is none.
async fn hear(
    app: &App,
    breaker: &Breaker,
    kind: &str,
    url: &str,
    data: Value,
) -> std::result::Result<Word, String> {
    let patience = app.config.hooks.timeout;
    let begun = app.clock.monotonic();
    let place = tokio::time::timeout(patience, breaker.enter(&*app.clock)).await;
    let place = place.map_err(|_| "no place came free in time")?;
    let leave = place.ok_or("it failed several times in a row and is left alone for a while")?;
    let left = patience.saturating_sub(app.clock.monotonic().saturating_sub(begun));
    let heard = call(app, kind, url, data, left).await;
    // What it does not like of one person's wish must not stand for everybody's.
    leave.note(&*app.clock, !matches!(heard, Err(Unheard::Away(_))));
    heard.map_err(|unheard| match unheard {
        Unheard::Away(text) | Unheard::Odd(text) => text,
    })
}

/// Why there is no word.
enum Unheard {
    /// Nobody answers, or says that nothing works.
    Away(String),
    /// It answers this call with something else.
    Odd(String),
}

async fn call(
    app: &App,
    kind: &str,
    url: &str,
    data: Value,
    patience: Duration,
) -> std::result::Result<Word, Unheard> {
    let away = |text: &str| Unheard::Away(text.to_owned());
    let now = app.now();
    let url = check_url(url).map_err(Unheard::Away)?;
    let secret = app.config.hooks.secret.as_ref().and_then(|secret| WebhookSecret::parse(secret.expose()));
    let secret = secret.ok_or_else(|| away("hooks.secret is not set"))?;
    let id = RowId(app.new_id(now)).to_string();
    let body = json!({ "type": kind, "timestamp": now.rfc3339(), "data": data });
    let body = serde_json::to_vec(&body).map_err(|error| away(&error.to_string()))?;
    let signature = secret.sign(&id, now.seconds(), &body);
    let headers = [
        (HeaderName::from_static("webhook-id"), id),
        (HeaderName::from_static("webhook-timestamp"), now.seconds().to_string()),
        (HeaderName::from_static("webhook-signature"), signature),
    ];
    let call = Call { url: &url, headers: &headers, body, patience, longest: LONGEST };
    let answer = app.outgoing.post(call).await.map_err(|error| away(&error.to_string()))?;
    if answer.status != 200 {
        let text = format!("answered {}", answer.status);
        return Err(if answer.status < 500 { Unheard::Odd(text) } else { Unheard::Away(text) });
    }
    Word::read(&answer.body)
        .ok_or_else(|| Unheard::Odd("the answer is not {\"allow\": true or false}".to_owned()))
}

fn refusal(word: Word) -> Error {
    let error = Error::new(Code::RefusedByHook);
    let message = word.message.map(|text| {
        text.chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect::<String>().trim().to_owned()
    });
    let error = match message.filter(|text| !text.is_empty()) {
        Some(text) => error.with_detail(text),
        None => error,
    };
    let plain = |code: &String| {
        (1..=CODE_MAX).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match word.code.filter(plain) {
        Some(code) => error.with_reason(code),
        None => error,
    }
}
