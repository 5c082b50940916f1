//! What reverse proxies that ask before they let a request through are told.
use super::ConfigError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Reverse proxies that ask before they let a request through.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardAuth {
    /// The application's page for signing in, to which a browser without a session is sent behind Caddy and Traefik, with the former address as `return_to`. Without it, and behind nginx, the answer is 401.
    pub sign_in_url: Option<String>,
}

pub(super) fn check(settings: &ForwardAuth, problems: &mut Vec<ConfigError>) {
    if let Some(url) = &settings.sign_in_url
        && !url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
    {
        let text = format!("\"{url}\" is not an address such as https://app.example.com/sign-in");
        problems.push(ConfigError::new("forward_auth.sign_in_url", text));
    }
}
