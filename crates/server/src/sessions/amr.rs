//! Methods of a sign-in, `amr` (RFC 8176), and how much they are worth together, `acr` (RFC 9470).

/// Password.
pub const PASSWORD: &str = "pwd";
/// Time-based one-time code of an authenticator app.
pub const TOTP: &str = "otp";
/// Code or link that was mailed. Not in RFC 8176, whose `otp` would make it look like an authenticator.
pub const EMAIL: &str = "email";
/// Recovery code. Not in RFC 8176, which has no name for look-up secrets.
pub const RECOVERY_CODE: &str = "recovery_code";
/// Key that stays in one authenticator.
pub const HARDWARE_KEY: &str = "hwk";
/// Key that can be on several devices.
pub const SOFTWARE_KEY: &str = "swk";
/// The authenticator verified its user, by PIN, fingerprint or the like.
pub const USER: &str = "user";
/// None: an administrator acts as the user. Not in RFC 8176, which knows only proofs.
pub const IMPERSONATION: &str = "impersonation";
/// Several factors.
pub const SEVERAL_FACTORS: &str = "mfa";

/// The user has proven nothing (OpenID Connect Core 1.0, 2: `0` meets no level).
pub const NOTHING: &str = "0";
/// One factor was proven (NIST SP 800-63B-4, AAL1).
pub const ONE_FACTOR: &str = "aal1";
/// Two factors were proven (NIST SP 800-63B-4, AAL2). A mailed code is none (section 3.1.3.1).
pub const TWO_FACTORS: &str = "aal2";

/// Methods with more of them, each once, in the order in which they were proven.
pub fn with(methods: &str, more: &[&str]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for method in methods.split(' ').chain(more.iter().copied()) {
        if !method.is_empty() && !all.contains(&method) {
            all.push(method);
        }
    }
    all.join(" ")
}

/// Whether a method is among them.
pub fn has(methods: &str, method: &str) -> bool {
    methods.split(' ').any(|known| known == method)
}

/// The `acr` of methods.
pub fn acr(methods: &str) -> &'static str {
    if has(methods, IMPERSONATION) {
        NOTHING
    } else if has(methods, SEVERAL_FACTORS) {
        TWO_FACTORS
    } else {
        ONE_FACTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_kept_once_and_in_order() {
        assert_eq!(with("", &[PASSWORD]), "pwd");
        assert_eq!(with("pwd", &[TOTP, SEVERAL_FACTORS, PASSWORD]), "pwd otp mfa");
    }

    #[test]
    fn a_mailed_code_is_no_second_factor() {
        assert_eq!(acr(&with(PASSWORD, &[EMAIL])), ONE_FACTOR);
        assert_eq!(acr("pwd otp mfa"), TWO_FACTORS);
        assert_eq!(acr(""), ONE_FACTOR);
        assert_eq!(acr(IMPERSONATION), NOTHING);
    }
}
