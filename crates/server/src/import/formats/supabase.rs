//! Rows of `auth.users` of Supabase, as `row_to_json` writes them, with the verified rows of `auth.mfa_factors` as `factors`.
use super::super::draft::{Given, GivenPassword};
use super::super::fields::Fields;
use super::super::problem::{Problem, Reason};
use super::{Result, base32};
use crate::clock::Timestamp;

pub(super) fn read(fields: &mut Fields, now: Timestamp) -> Result<Given> {
    if fields.take("deleted_at").is_some() {
        return Err(Problem::new(Reason::Deleted, "the account was deleted in the source"));
    }
    let id = fields.text("id")?;
    let name = match fields.object("raw_user_meta_data")? {
        Some(mut more) => match more.text("full_name")? {
            Some(name) => Some(name),
            None => more.text("name")?,
        },
        None => None,
    };
    let confirmed = fields.instant("email_confirmed_at")?;
    let mut given = Given {
        source_id: id.clone(),
        id,
        email: fields.text("email")?,
        // A row without the instant says that it was not.
        email_verified: Some(confirmed.is_some()),
        email_verified_at: confirmed,
        name,
        password: fields.text("encrypted_password")?.map(GivenPassword::Text),
        disabled: fields.instant("banned_until")?.is_some_and(|until| until > now),
        created_at: fields.instant("created_at")?,
        last_login_at: fields.instant("last_sign_in_at")?,
        ..Given::default()
    };
    for mut factor in fields.objects("factors")? {
        if factor.text("status")?.is_some_and(|status| status != "verified") {
            continue;
        }
        match (factor.text("factor_type")?.as_deref(), factor.text("secret")?) {
            (Some("totp"), Some(secret)) if given.totp.is_none() => given.totp = Some(base32(&secret)?),
            (Some("totp"), _) => {
                given.lost_factor = Some("a second authenticator app, or one without its secret");
            }
            (Some("phone"), _) => given.lost_factor = Some("a telephone"),
            _ => given.lost_factor = Some("a kind that is not known"),
        }
    }
    Ok(given)
}
