//! An authenticator app: it knows the secret that was shown, and the time.
use super::{Client, TestApp};
use data_encoding::BASE32_NOPAD;
use hallpass_crypto::totp::Secret;
use serde_json::{Value, json};

/// See the module's doc.
#[derive(Clone)]
pub struct Authenticator(Secret);

impl Authenticator {
    /// Takes the secret from an answer, as a person types it.
    pub fn of(setup: &Value) -> Self {
        let bytes = BASE32_NOPAD.decode(setup["secret"].as_str().unwrap().as_bytes()).unwrap();
        Self(Secret::from_bytes(&bytes).unwrap())
    }

    /// The code that it shows now.
    pub fn code(&self, server: &TestApp) -> String {
        self.code_in(server, 0)
    }

    /// The code that it shows at a time, in seconds since the epoch.
    pub fn code_at(&self, seconds: i64) -> String {
        self.0.code(seconds.div_euclid(30))
    }

    /// The code that it shows so many steps of 30 seconds from now.
    pub fn code_in(&self, server: &TestApp, steps: i64) -> String {
        self.0.code(server.app.now().seconds().div_euclid(30) + steps)
    }

    /// A code that is none of those that count now.
    pub fn wrong_code(&self, server: &TestApp) -> String {
        let right = [self.code(server), self.code_in(server, -1)];
        (0..3).map(|number| format!("{number:06}")).find(|code| !right.contains(code)).unwrap()
    }
}

impl Client {
    /// Sets an authenticator app up in this session. Returns it and the recovery codes, and keeps the fresh access token.
    pub async fn set_up_totp(&mut self, server: &TestApp) -> (Authenticator, Vec<String>) {
        let setup = self.post_nothing("/api/v1/factors/totp").await;
        assert_eq!(setup.status, 201, "{}", setup.text);
        let authenticator = Authenticator::of(&setup.json);
        let confirmed =
            self.post("/api/v1/factors/totp/confirm", json!({ "otp": authenticator.code(server) })).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text);
        self.keep_tokens(&confirmed);
        let codes = confirmed.json["recoveryCodes"].as_array().cloned().unwrap_or_default();
        (authenticator, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
    }
}
