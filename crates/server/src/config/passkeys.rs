//! The section `[passkeys]` and what has to hold for it.
use super::{Config, ConfigError};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Passkeys (WebAuthn).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Passkeys {
    /// The domain that passkeys belong to: the host of `server.public_url`, or a parent domain of it that your front ends share. Default: that host. A later change leaves every enrolled passkey without use.
    pub rp_id: Option<String>,
    /// Origins beside `server.public_url` whose pages may ask for passkeys, for example `https://app.example.com`. Each is on `rp_id` or below it, or is an Android app: `android:apk-key-hash:<SHA-256 of its certificate in base64url>`.
    pub origins: Vec<String>,
}

impl Config {
    /// The relying party id (WebAuthn Level 3, 4): the domain that passkeys are bound to.
    pub fn passkey_rp_id(&self) -> String {
        self.passkeys.rp_id.clone().unwrap_or_else(|| host(&self.public_url()).unwrap_or_default())
    }

    /// Origins whose pages may hold a passkey ceremony; the public URL is the first.
    pub fn passkey_origins(&self) -> Vec<String> {
        std::iter::once(self.public_url()).chain(self.passkeys.origins.iter().cloned()).collect()
    }
}

/// Mistakes in the section: browsers would refuse every ceremony, or a page of somebody else's could hold one.
pub(super) fn check(config: &Config, problems: &mut Vec<ConfigError>) {
    if let Some(id) = &config.passkeys.rp_id {
        let domain = url::Host::parse(id)
            .is_ok_and(|host| matches!(&host, url::Host::Domain(name) if name == id && !name.ends_with('.')));
        if !domain || !(id.contains('.') || id == "localhost") {
            let text = format!("\"{id}\" is not a domain in lower case such as example.com");
            problems.push(ConfigError::new("passkeys.rp_id", text));
        } else if !belongs(&config.public_url(), id) {
            let text = format!("\"{id}\" is neither the host of server.public_url nor a parent domain of it");
            problems.push(ConfigError::new("passkeys.rp_id", text));
        }
    }
    let id = config.passkey_rp_id();
    for origin in config.passkeys.origins.iter().filter(|origin| !is_android_app(origin)) {
        // A page without TLS is whoever's sits on the wire; browsers hold ceremonies on localhost only then.
        let secure = origin.starts_with("https://")
            || host(origin).is_some_and(|host| host == "localhost" || host.ends_with(".localhost"));
        if !super::check::is_origin(origin) || !secure {
            let text = format!("\"{origin}\" is not an origin such as https://app.example.com");
            problems.push(ConfigError::new("passkeys.origins", text));
        } else if !belongs(origin, &id) {
            let text = format!(
                "\"{origin}\" is not on {id} or below it; set passkeys.rp_id to a domain that both share"
            );
            problems.push(ConfigError::new("passkeys.origins", text));
        }
    }
}

/// How Android names the app that asks (WebAuthn clients write it into the client data instead of an origin).
fn is_android_app(origin: &str) -> bool {
    let hash = origin.strip_prefix("android:apk-key-hash:");
    hash.and_then(|hash| BASE64URL_NOPAD.decode(hash.as_bytes()).ok()).is_some_and(|hash| hash.len() == 32)
}

/// Whether an address is on a domain or below it.
fn belongs(url: &str, domain: &str) -> bool {
    host(url).is_some_and(|host| {
        host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

fn host(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}
