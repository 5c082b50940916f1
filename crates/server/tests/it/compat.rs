//! The route profiles: each replaced system's walk-through as its page shows it, and what its clients do.
mod authify;
mod authy;
mod cookieless;
mod habits;
mod routes;
mod settings;

use crate::support::{Answer, TestApp};
use hallpass::config::Config;

/// A password as people chose it there, good enough for here.
const PASSWORD: &str = "plenty-of-walnut-trees";
const OTHERS_PASSWORD: &str = "seven+quiet+harbours";
const ANN: &str = "ann@example.com";
const COOKIES: [&str; 3] = ["accessToken", "refreshToken", "csrfToken"];

async fn authify() -> TestApp {
    TestApp::start_with(authify_on).await
}

fn authify_on(config: &mut Config) {
    config.compat.authify = true;
    config.compat_defaults(|_| false);
}

async fn authy() -> TestApp {
    TestApp::start_with(authy_on).await
}

fn authy_on(config: &mut Config) {
    config.compat.authy = true;
    config.compat_defaults(|_| false);
}

fn message(answer: &Answer) -> &str {
    answer.json["message"].as_str().unwrap_or_default()
}

/// Status and message.
fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, message(answer))
}
