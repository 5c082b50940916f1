//! Recovery codes: ten, each good once, shown once (NIST SP 800-63B-4 3.1.2, ASVS 6.5.1).
use super::store;
use crate::app::Inner;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::{RowId, UserId};
use hallpass_crypto::recovery_code;

/// Codes of one set.
const COUNT: usize = 10;
/// With so few left the owner is advised to make new ones.
pub const FEW: i64 = 3;

/// Makes a set of codes; earlier ones are void.
pub(super) async fn renew(app: &Inner, tx: &mut Tx, user: UserId, now: Timestamp) -> Result<Vec<String>> {
    store::remove_codes(tx, user).await?;
    let mut codes = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let code = recovery_code::write(app.random_bytes());
        if let Some(normalised) = recovery_code::normalise(&code) {
            let hash = recovery_code::digest(user.0.as_bytes(), &normalised);
            store::insert_code(tx, RowId(app.new_id(now)), user, &hash, now).await?;
        }
        codes.push(code.to_string());
    }
    Ok(codes)
}

/// Uses a code up. Returns how many are left, or nothing when it is wrong or used.
pub(super) async fn take(tx: &mut Tx, user: UserId, typed: &str, now: Timestamp) -> Result<Option<i64>> {
    let Some(normalised) = recovery_code::normalise(typed) else { return Ok(None) };
    let hash = recovery_code::digest(user.0.as_bytes(), &normalised);
    if !store::take_code(tx, user, &hash, now).await? {
        return Ok(None);
    }
    Ok(Some(store::codes_left(tx, user).await?))
}
