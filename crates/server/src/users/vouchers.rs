//! On whose word an account is the person's whose address it has. What was set up in it since then may be theirs, so it must not be worth more
//! than they could give: whoever gives more asks here.
use super::store;
use crate::db::Tx;
use crate::error::Result;
use crate::ids::UserId;

/// Notes that an administrator made the account, or answered for its address. The caller holds [`super::lock_factors`], or has just made it.
pub async fn vouch(tx: &mut Tx, id: UserId, by: UserId) -> Result<()> {
    let mut vouchers = store::vouchers(tx, id).await?;
    if !vouchers.contains(&by) {
        vouchers.push(by);
        store::set_vouchers(tx, id, &vouchers).await?;
    }
    Ok(())
}

/// The administrators on whose word it is.
pub async fn vouchers(tx: &mut Tx, id: UserId) -> Result<Vec<UserId>> {
    Ok(store::vouchers(tx, id).await?)
}

/// Notes that nothing is left in the account of what they may have set up.
pub async fn forget_vouchers(tx: &mut Tx, id: UserId) -> Result<()> {
    Ok(store::set_vouchers(tx, id, &[]).await?)
}
