//! Names of the settings of the systems that Hallpass replaces, so that their `.env` files go on working.
use crate::db;
use std::collections::BTreeMap;

/// Settings that such names stand for; `said` gets one sentence each, to be shown at start.
pub(super) fn from_environment(
    environment: &BTreeMap<String, String>,
    said: &mut Vec<String>,
) -> Vec<(String, String)> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let mut found = Vec::new();
    let mut alias = |names: &[&str], path: &str, modern: &str| {
        if environment.contains_key(modern) {
            return;
        }
        if let Some((name, value)) = names.iter().find_map(|name| get(name).map(|value| (*name, value))) {
            found.push((path.to_owned(), value.clone()));
            said.push(format!("{name} is read as {path}; {modern} is its name now"));
        }
    };
    alias(&["JWT_ACCESS_SECRET", "JWT_SECRET"], "keys.secret_key", "HALLPASS_SECRET_KEY");
    alias(&["FRONTEND_URL"], "server.allowed_origins", "HALLPASS_SERVER__ALLOWED_ORIGINS");
    if let Some((path, url)) = smtp(environment) {
        said.push(
            "SMTP_USER and SMTP_PASSWORD are read as mail.smtp_url; HALLPASS_SMTP_URL is its name now".into(),
        );
        found.push((path, url));
    }
    for name in ["JWT_REFRESH_SECRET", "REFRESH_SECRET", "OTP_SECRET"] {
        if get(name).is_some() {
            said.push(format!("{name} is not needed: such keys are derived from the secret key"));
        }
    }
    if get("MONGO_URI").is_some() {
        said.push("MONGO_URI is not read: Hallpass keeps its own database".into());
    }
    if let Some(url) = get("REDIS_URL").filter(|_| !environment.contains_key("HALLPASS_REDIS_URL")) {
        if get("HALLPASS_DATABASE_URL").is_some_and(|url| !db::is_embedded(url)) {
            said.push("REDIS_URL is read as HALLPASS_REDIS_URL; please rename it".into());
            found.push(("redis.url".into(), url.clone()));
        } else {
            said.push("REDIS_URL is not read: one node needs no Redis".into());
        }
    }
    found
}

/// `SMTP_USER` and `SMTP_PASSWORD`, with Gmail as the host unless `SMTP_HOST` says otherwise.
fn smtp(environment: &BTreeMap<String, String>) -> Option<(String, String)> {
    if environment.contains_key("HALLPASS_SMTP_URL") {
        return None;
    }
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let user = get("SMTP_USER")?;
    let password = get("SMTP_PASSWORD").or_else(|| get("SMTP_PASS"))?;
    let host = get("SMTP_HOST").map_or("smtp.gmail.com", String::as_str);
    let port = get("SMTP_PORT").map_or("465", String::as_str);
    let scheme = if port == "465" { "smtps" } else { "smtp" };
    let mut url = url::Url::parse(&format!("{scheme}://{host}:{port}")).ok()?;
    url.set_username(user).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(("mail.smtp_url".into(), url.to_string()))
}
