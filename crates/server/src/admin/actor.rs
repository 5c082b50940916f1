//! Who does something to somebody else's account: an operator on the command line, or an administrator over HTTP.
use super::{Admin, Need, etag::Read, require_above};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::error::{Code, Error, Result};
use crate::ids::UserId;
use crate::roles::{self, Authority};
use crate::sessions::Current;
use crate::users::{self, User};
use crate::web::Client;

/// See the module's doc.
#[derive(Clone, Debug)]
pub struct Actor<'a> {
    /// From where.
    pub(super) client: &'a Client,
    admin: Option<Administrator>,
}

#[derive(Clone, Debug)]
struct Administrator {
    current: Current,
    permission: &'static str,
    /// Whether only a fresh proof of identity will do.
    fresh: bool,
}

/// Something that is being done to an account.
pub(super) struct Deed<'a> {
    /// Its transaction.
    pub(super) tx: Tx,
    /// By whom, as the transaction sees it.
    pub(super) by: Actor<'a>,
    /// To whom, as the transaction sees it.
    pub(super) user: User,
    /// When.
    pub(super) now: Timestamp,
}

impl<'a> Actor<'a> {
    /// An operator, who owns the server and may do everything.
    pub fn operator(client: &'a Client) -> Self {
        Self { client, admin: None }
    }

    /// An administrator, who has to have proven identity lately (ASVS 7.5.3).
    pub fn administrator<N: Need>(admin: &Admin<N>, client: &'a Client) -> Self {
        let current = admin.current.clone();
        Self { client, admin: Some(Administrator { current, permission: N::PERMISSION, fresh: true }) }
    }

    /// The same for what only closes doors, which must not wait for a proof.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        self.admin = self.admin.map(|admin| Administrator { fresh: false, ..admin });
        self
    }

    /// Who that is, in the audit log.
    pub(super) fn name(&self) -> String {
        self.authority().name()
    }

    /// What can be handed on.
    pub(super) fn authority(&self) -> Authority<'_> {
        match &self.admin {
            Some(admin) => Authority::Holder(admin.current.user.id, &admin.current.grants),
            None => Authority::Operator,
        }
    }

    /// One of two words: for an operator, for an administrator.
    pub(super) fn word(&self, operator: &'static str, administrator: &'static str) -> &'static str {
        if self.admin.is_some() { administrator } else { operator }
    }

    /// From where, as the owner of the account is told: an administrator's address is nobody's business.
    pub(super) fn place(&self) -> String {
        if self.admin.is_some() { "the administration".into() } else { self.client.ip.to_string() }
    }

    /// Asks for a further permission.
    ///
    /// # Errors
    /// [`Code::Forbidden`].
    pub(super) fn require(&self, permission: &'static str) -> Result<()> {
        match &self.admin {
            Some(admin) => super::require(&admin.current, permission),
            None => Ok(()),
        }
    }

    /// Asks for a fresh proof, before anything that costs.
    ///
    /// # Errors
    /// [`Code::ReauthenticationRequired`].
    pub(super) fn require_fresh(&self, app: &App, now: Timestamp) -> Result<()> {
        match &self.admin {
            Some(admin) if admin.fresh => admin.current.require_fresh(app, now),
            _ => Ok(()),
        }
    }

    /// Notes that an account is the person's whose address it has, on this word. An operator's is above everybody's.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn vouch(&self, tx: &mut Tx, id: UserId) -> Result<()> {
        match &self.admin {
            Some(admin) => users::vouch(tx, id, admin.current.user.id).await,
            None => Ok(()),
        }
    }

    /// Whether it is somebody over HTTP, and not the operator.
    pub(super) const fn is_administrator(&self) -> bool {
        self.admin.is_some()
    }

    /// The same as a transaction sees it, with everything that let it through asked again.
    ///
    /// # Errors
    /// [`Code::SessionRevoked`], [`Code::Forbidden`], [`Code::ReauthenticationRequired`].
    pub(super) async fn anew(&self, app: &App, tx: &mut Tx, now: Timestamp) -> Result<Self> {
        let Some(admin) = &self.admin else { return Ok(self.clone()) };
        let current = admin.current.anew(app, tx, now).await?;
        super::require(&current, admin.permission)?;
        let anew = Self { client: self.client, admin: Some(Administrator { current, ..admin.clone() }) };
        anew.require_fresh(app, now)?;
        Ok(anew)
    }

    /// Begins something that is done to somebody else's account.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::Forbidden`] for one that may do more, and for the own one, which has routes of its own with
    /// proofs of their own; what [`Self::anew`] refuses.
    pub(super) async fn begin(&self, app: &App, id: UserId) -> Result<Deed<'a>> {
        let deed = self.begin_with_own(app, id).await?;
        if deed.by.admin.as_ref().is_some_and(|admin| admin.current.user.id == id) {
            let text = "This is your own account: use its own routes, such as /api/v1/me.";
            return Err(Error::new(Code::Forbidden).with_detail(text));
        }
        Ok(deed)
    }

    /// The same for what may be done to the own account too.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(super) async fn begin_with_own(&self, app: &App, id: UserId) -> Result<Deed<'a>> {
        let now = app.now();
        self.require_fresh(app, now)?;
        let mut tx = app.db.begin().await?;
        users::lock_factors(&mut tx, id).await?;
        // Whoever changes rights holds this. So of two administrators who act on each other, the second sees what the first did.
        roles::lock(&mut tx).await?;
        let by = self.anew(app, &mut tx, now).await?;
        let user = users::find_in(&mut tx, id).await?.ok_or_else(|| Error::new(Code::NotFound))?;
        if let Some(admin) = &by.admin {
            let theirs = roles::grants_in(app, &mut tx, &user.roles).await?;
            require_above(&admin.current.grants, &theirs)?;
        }
        Ok(Deed { tx, by, user, now })
    }
}

impl Deed<'_> {
    /// Against lost updates: what is changed must be what was read.
    ///
    /// # Errors
    /// [`Code::Outdated`].
    pub(super) fn expect(&self, read: &Read) -> Result<()> {
        match read {
            Read::Anything => Ok(()),
            Read::Versions(read) if read.contains(&Some(self.user.updated_at)) => Ok(()),
            Read::Versions(_) | Read::Nothing => Err(Error::new(Code::Outdated)),
        }
    }

    /// The account after what was done.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn reload(&mut self) -> Result<User> {
        users::find_in(&mut self.tx, self.user.id).await?.ok_or_else(|| Error::new(Code::NotFound))
    }
}
