//! The section `[compat]`: route profiles, what each gives as defaults, and what has to hold for it.
use super::{Config, ConfigError, EmailOtp, Profile, RegistrationMode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Route profiles, for front ends that were written against one of the systems that Hallpass replaces; see `docs/migrating.md`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "settings that are on or off")]
pub struct Compat {
    /// Serves `/api/auth/…` as Authify did: signed in at once after registering (default of `registration.mode` is `immediate` then), state changes by GET for the own site's pages. Cookies lose their `__Host-` prefix.
    pub authify: bool,
    /// Status of a sign-in under `/api/auth/login`: 201 as Authify, or 200.
    pub login_status: u16,
    /// Gives `/api/v1` Authy's paths, shapes and defaults: a mailed code at every sign-in (`login.email_otp`), both tokens in cookies, one session per user (`sessions.max_per_user`) that ends 7 days after the sign-in (`sessions.absolute_ttl`). Cookies lose their `__Host-` prefix.
    pub authy: bool,
    /// With `authy`: status of a call without access cookie, 403 or 401, whichever the front end takes as the sign to refresh.
    pub missing_access_status: u16,
    /// With `authy`: whether registering a known address says so, as Authy did, which tells anybody who has an account. Else the answer is alike, and the mailbox is told.
    pub tell_known_addresses: bool,
    /// With `authy`: the address of the front end's page that takes the token of the verification link as `<page>/<token>` and posts it. Default: the link leads to `/api/v1/verify/<token>` of this server.
    pub verify_page: Option<String>,
    /// With `authy`: cookies are `SameSite=None`, for a front end on another site than the server. Needs https; many browsers block such cookies.
    pub cross_site_cookies: bool,
}

impl Default for Compat {
    fn default() -> Self {
        Self {
            authify: false,
            login_status: 201,
            authy: false,
            missing_access_status: 403,
            tell_known_addresses: false,
            verify_page: None,
            cross_site_cookies: false,
        }
    }
}

impl Compat {
    /// Whether a profile is on.
    pub fn any(&self) -> bool {
        self.authify || self.authy
    }
}

impl Config {
    /// What the profiles give as defaults: sets what nobody has set, as `is_set` tells of a path.
    pub fn compat_defaults(&mut self, is_set: impl Fn(&str) -> bool) {
        if self.compat.authify && !is_set("registration.mode") {
            self.registration.mode = RegistrationMode::Immediate;
        }
        if self.compat.authy {
            if !is_set("login.email_otp") {
                self.login.email_otp = EmailOtp::Always;
            }
            if !is_set("sessions.max_per_user") {
                self.sessions.max_per_user = 1;
            }
            if !is_set("sessions.absolute_ttl") {
                self.sessions.absolute_ttl = Duration::from_secs(7 * 86_400);
            }
        }
    }
}

/// Mistakes in the section.
pub(super) fn check(config: &Config, problems: &mut Vec<ConfigError>) {
    let compat = &config.compat;
    if compat.authify && compat.authy {
        let text = "authify signs in by the password alone, authy mails a code as well; turn one of them off";
        problems.push(ConfigError::new("compat.authify", text));
    }
    if compat.any() && config.profile == Profile::Strict {
        let path = if compat.authify { "compat.authify" } else { "compat.authy" };
        problems.push(ConfigError::new(path, "must be off in the strict profile"));
    }
    if ![200, 201].contains(&compat.login_status) {
        problems.push(ConfigError::new("compat.login_status", "must be 201 or 200"));
    }
    if ![401, 403].contains(&compat.missing_access_status) {
        problems.push(ConfigError::new("compat.missing_access_status", "must be 403 or 401"));
    }
    if let Some(page) = &compat.verify_page {
        let plain = url::Url::parse(page).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
        });
        if !plain {
            let text = format!("\"{page}\" is not an address such as https://app.example.com/token");
            problems.push(ConfigError::new("compat.verify_page", text));
        }
    }
    if compat.cross_site_cookies && !(compat.authy && config.https()) {
        let text =
            "needs compat.authy and an https server.public_url: browsers take such cookies with Secure only";
        problems.push(ConfigError::new("compat.cross_site_cookies", text));
    }
}
