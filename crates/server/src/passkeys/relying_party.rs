//! The one place that knows the library: options for clients, and the verification of what authenticators answer (WebAuthn
//! Level 3, 7.1 and 7.2). What the library leaves to its caller is done here and said.
use super::{CEREMONY_TTL, Passkey, flag, user_handle};
use crate::app::Inner;
use crate::error::{Error, Result};
use crate::users::User;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AttestationFormat, AuthenticationState, COSEKey, Credential, ParsedAttestation, PublicKeyCredential,
    RegisterPublicKeyCredential, RegisteredExtensions, RegistrationState, UserVerificationPolicy,
};

/// Longest credential id (WebAuthn Level 3, 7.1 step 25).
pub(super) const CREDENTIAL_ID_MAX: usize = 1023;
/// Whether a text is a key as [`Made`] has it.
pub(super) fn is_key(text: &str) -> bool {
    text.len() <= 4096 && serde_json::from_str::<COSEKey>(text).is_ok()
}

/// The generator of P-256 as a key: what an unknown credential is verified with, so that it costs the same. It opens nothing.
const NOBODY: &str = r#"{"type_":"ES256","key":{"EC_EC2":{"curve":"SECP256R1","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}}}"#;

/// What authenticator and client said in a proof that holds.
pub(super) struct Said {
    pub(super) user_verified: bool,
    pub(super) sign_count: u32,
    pub(super) flags: i64,
}

/// Why a proof does not hold.
pub(super) enum Refusal {
    /// The reason, for the audit log.
    Wrong(&'static str),
    /// It is genuine, but the counter did not grow.
    Counter,
}

/// A credential as an authenticator made it, not yet anybody's.
pub(super) struct Made {
    pub(super) credential_id: Vec<u8>,
    pub(super) public_key: String,
    pub(super) sign_count: u32,
    pub(super) flags: i64,
    pub(super) transports: String,
}

/// This server, as authenticators know it.
pub(super) struct RelyingParty(WebauthnCore);

impl RelyingParty {
    pub(super) fn of(app: &Inner) -> Self {
        let (name, id) = (&app.config.mail.product_name, app.config.passkey_rp_id());
        let origins = app.config.passkey_origins();
        let origins = origins.iter().filter_map(|origin| Url::parse(origin).ok()).collect();
        // Exact origins: neither subdomains nor other ports.
        Self(WebauthnCore::new_unsafe_experts_only(
            name,
            &id,
            origins,
            CEREMONY_TTL,
            Some(false),
            Some(false),
        ))
    }

    /// Options for a new credential. Discoverable where the authenticator can; attestation is not asked for.
    pub(super) fn creation(&self, user: &User, known: &[Passkey]) -> Result<(Value, RegistrationState)> {
        let handle = user_handle(user.id);
        let display = user.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&user.email);
        let builder = self.0.new_challenge_register_builder(&handle, &user.email, display);
        let builder = builder.map_err(Error::internal)?;
        let builder = builder.user_verification_policy(UserVerificationPolicy::Preferred);
        let (response, state) = self.0.generate_challenge_register(builder).map_err(Error::internal)?;
        let mut options = serde_json::to_value(response.public_key).map_err(Error::internal)?;
        options["authenticatorSelection"]["residentKey"] = json!("preferred");
        options["excludeCredentials"] = known.iter().map(descriptor).collect();
        Ok((options, state))
    }

    /// Verifies a new credential (WebAuthn Level 3, 7.1). That nobody has it yet is for the database to say.
    pub(super) fn check_new(&self, state: &RegistrationState, answer: Value) -> Result<Made, &'static str> {
        let answer: RegisterPublicKeyCredential = serde_json::from_value(answer).map_err(|_| "malformed")?;
        let credential = self.0.register_credential(&answer, state, None).map_err(|error| reason(&error))?;
        if credential.cred_id.is_empty() || credential.cred_id.len() > CREDENTIAL_ID_MAX {
            return Err("credential_id");
        }
        let set = |flag, on: bool| if on { flag } else { 0 };
        // From the client and not from the library, which keeps those of attested authenticators only. They are hints.
        let mut transports: Vec<&str> =
            answer.response.transports.iter().flatten().map(AsRef::as_ref).collect();
        transports.sort_unstable();
        transports.dedup();
        transports.retain(|name| !["unknown", "test"].contains(name));
        Ok(Made {
            public_key: serde_json::to_string(&credential.cred).map_err(|_| "malformed")?,
            sign_count: credential.counter,
            flags: set(flag::UV, credential.user_verified)
                | set(flag::BE, credential.backup_eligible)
                | set(flag::BS, credential.backup_state),
            transports: transports.join(" "),
            credential_id: credential.cred_id,
        })
    }

    /// Options for a proof, without the credentials that are allowed to give it.
    pub(super) fn request(&self, verify_user: bool) -> Result<(Value, AuthenticationState)> {
        let policy =
            if verify_user { UserVerificationPolicy::Required } else { UserVerificationPolicy::Preferred };
        let builder = self.0.new_challenge_authenticate_builder(Vec::new(), Some(policy));
        let builder = builder.map_err(Error::internal)?;
        let (response, state) = self.0.generate_challenge_authenticate(builder).map_err(Error::internal)?;
        Ok((serde_json::to_value(response.public_key).map_err(Error::internal)?, state))
    }

    /// Verifies a proof (WebAuthn Level 3, 7.2 steps 7 to 22). Whose passkey it is, the caller has checked.
    pub(super) fn check(
        &self,
        state: &AuthenticationState,
        answer: &PublicKeyCredential,
        passkey: &Passkey,
    ) -> Result<Said, Refusal> {
        let key = serde_json::from_str(&passkey.public_key).map_err(|_| Refusal::Wrong("stored_key"))?;
        // Step 10: the library looks at crossOrigin in enrolment only. No page of ours is meant to be in a frame of others'.
        if is_cross_origin(&answer.response.client_data_json) {
            return Err(Refusal::Wrong("cross_origin"));
        }
        let credential = credential(passkey, key);
        match self.0.authenticate_single_credential(answer, state, &credential) {
            Ok(said) => Ok(Said {
                user_verified: said.user_verified(),
                sign_count: said.counter(),
                flags: (passkey.flags & !flag::BS) | if said.backup_state() { flag::BS } else { 0 },
            }),
            Err(WebauthnError::CredentialPossibleCompromise) => Err(Refusal::Counter),
            Err(error) => Err(Refusal::Wrong(reason(&error))),
        }
    }

    /// Does the work of a verification for a credential that does not exist.
    pub(super) fn pretend(&self, state: &AuthenticationState, answer: &PublicKeyCredential, like: Passkey) {
        let passkey = Passkey { public_key: NOBODY.to_owned(), credential_id: answer.raw_id.clone(), ..like };
        // It cannot succeed, and if it did it would open nothing.
        let _ = self.check(state, answer, &passkey);
    }
}

/// An id that is allowed or excluded, for the owner of the passkey.
pub(super) fn descriptor(passkey: &Passkey) -> Value {
    let id = BASE64URL_NOPAD.encode(&passkey.credential_id);
    let transports: Vec<&str> = passkey.transports().collect();
    if transports.is_empty() {
        json!({ "type": "public-key", "id": id })
    } else {
        json!({ "type": "public-key", "id": id, "transports": transports })
    }
}

/// The library's own form.
fn credential(passkey: &Passkey, key: COSEKey) -> Credential {
    Credential {
        cred_id: passkey.credential_id.clone(),
        cred: key,
        counter: passkey.sign_count,
        transports: None,
        user_verified: passkey.has(flag::UV),
        backup_eligible: passkey.has(flag::BE),
        backup_state: passkey.has(flag::BS),
        registration_policy: UserVerificationPolicy::Preferred,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    }
}

/// What is not JSON is refused by the library.
fn is_cross_origin(client_data: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Place {
        #[serde(default)]
        cross_origin: Option<bool>,
        #[serde(default)]
        top_origin: Option<Value>,
    }
    serde_json::from_slice::<Place>(client_data)
        .is_ok_and(|place| place.cross_origin == Some(true) || place.top_origin.is_some())
}

/// A stable word for the audit log.
const fn reason(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::InvalidClientDataType => "type",
        WebauthnError::MismatchedChallenge => "challenge",
        WebauthnError::InvalidRPOrigin => "origin",
        WebauthnError::CredentialCrossOrigin => "cross_origin",
        WebauthnError::InvalidRPIDHash => "rp_id",
        WebauthnError::UserNotPresent => "user_not_present",
        WebauthnError::UserNotVerified => "user_not_verified",
        WebauthnError::AuthenticationFailure => "signature",
        WebauthnError::CredentialBackupEligibilityInconsistent
        | WebauthnError::CredentialMayNotBeHardwareBound => "backup_flags",
        WebauthnError::CredentialAlteredAlgFromRequest => "algorithm",
        WebauthnError::AttestationNotSupported => "attestation",
        _ => "malformed",
    }
}
