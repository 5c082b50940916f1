//! Rows of `auth.users` of Supabase, as `row_to_json` writes them, with the verified rows of `auth.mfa_factors` as `factors`.
use super::super::fields::Fields;
use super::super::given::{Given, GivenPassword};
use super::super::problem::{Problem, Reason};
use super::Result;
use crate::clock::Timestamp;

pub(super) fn read(fields: &mut Fields, now: Timestamp) -> Result<Given> {
    if fields.take("deleted_at").is_some() {
        return Err(Problem::new(Reason::Deleted, "the account was deleted in the source"));
    }
    let id = fields.text("id")?;
    let more = fields.object("raw_user_meta_data")?;
    let name = more.and_then(|mut more| {
        let name = |name| more.part(name, Reason::InvalidName);
        ["full_name", "name"].into_iter().find_map(name)
    });
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
    if !fields.has("factors") {
        // The table of users does not tell: whoever forgets the other one would open accounts with less than they had.
        given.lost_factor = Some("unknown, since the row has no member factors (docs/importing.md)");
    }
    for mut factor in fields.objects("factors")? {
        if factor.text("status")?.is_some_and(|status| status != "verified") {
            continue;
        }
        match factor.text("factor_type")?.as_deref() {
            Some("totp") => given.take_app(factor.text("secret")?.as_deref()),
            Some("phone") => given.lost_factor = Some("a telephone"),
            Some("webauthn") => given.lost_factor = Some("a security key"),
            _ => given.lost_factor = Some("a kind that is not known"),
        }
    }
    Ok(given)
}
