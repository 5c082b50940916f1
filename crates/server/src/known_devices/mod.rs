//! What people see and do about their devices: the list, forgetting, the mail about a new one, "this was not me".
//!
//! Invariants: a device that its owner forgot has no live session; the mail about a new device is written with the session that it
//! tells; its link ends what it tells even if whoever signed in has changed password or address meanwhile, and never
//! signs anybody in or touches a second factor.
mod not_me;
mod pages;
mod routes;

pub use not_me::{Disowned, disown};
pub use pages::routes as page_routes;
pub use routes::routes;

use crate::app::App;
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::codes::{self, Issue, Purpose};
use crate::db::Tx;
use crate::devices::{self, Device};
use crate::error::{Code, Error, Result};
use crate::geoip::Place;
use crate::ids::DeviceId;
use crate::mail::{self, Message};
use crate::sessions::{self, Current, Issued, device};
use crate::users::User;
use crate::web::Client;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// Life of the link in the mail about a new device.
const LINK_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Such mails to one person in a day, for programs that keep no cookie; one link ends the sessions of all of them.
const MOST_A_DAY: i64 = 20;
const DAY: Duration = Duration::from_secs(86_400);

/// A device as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceView {
    /// Id.
    pub id: String,
    /// Whether the session that asks began on it.
    pub current: bool,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The program of the latest sign-in, parsed.
    pub device: device::Device,
    /// The program of the latest sign-in.
    pub user_agent: Option<String>,
    /// Address of the latest sign-in.
    pub ip: String,
    /// Where that is, if the server can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// RFC 3339.
    pub first_seen_at: String,
    /// RFC 3339.
    pub last_sign_in_at: String,
    /// Until when it may sign in without the second factor; RFC 3339.
    pub trusted_until: Option<String>,
}

/// The caller's devices, the latest sign-in first.
pub async fn list(app: &App, current: &Current) -> Result<Vec<DeviceView>> {
    let now = app.now();
    let devices = devices::of_user(app, current.user.id).await?;
    Ok(devices.into_iter().map(|device| view(app, current, device, now)).collect())
}

fn view(app: &App, current: &Current, device: Device, now: Timestamp) -> DeviceView {
    DeviceView {
        id: device.id.to_string(),
        current: current.session.device == Some(device.id),
        trusted_until: device.trusted_until.filter(|until| *until > now).map(Timestamp::rfc3339),
        device: device::parse(device.user_agent.as_deref().unwrap_or_default()),
        place: app.places.of_text(&device.ip),
        name: device.name,
        user_agent: device.user_agent,
        ip: device.ip,
        first_seen_at: device.created_at.rfc3339(),
        last_sign_in_at: device.last_sign_in_at.rfc3339(),
    }
}

/// Forgets one device of the caller; its sessions end. Returns how many were live.
///
/// # Errors
/// [`Code::NotFound`], also for somebody else's.
pub async fn forget(app: &App, current: &Current, client: &Client, id: DeviceId) -> Result<u64> {
    let now = app.now();
    let user = current.user.id;
    let mut tx = app.db.begin().await?;
    if !devices::forget(&mut tx, user, id).await? {
        return Err(Error::new(Code::NotFound));
    }
    let revoked = sessions::revoke_of_device(app, &mut tx, user, id, "device_forgotten", now).await?;
    let event = Event::new(Kind::DevicesForgotten, client).user(user).session(current.session.id);
    let detail = json!({ "device": id, "forgotten": 1, "revoked": revoked });
    audit::record(app, &mut tx, event.detail(detail), now);
    tx.commit().await?;
    Ok(revoked)
}

/// Forgets all devices of the caller but the one of the present session, which is the only session left. Returns how
/// many devices and how many live sessions it was.
pub async fn forget_others(app: &App, current: &Current, client: &Client) -> Result<(u64, u64)> {
    let now = app.now();
    let (user, session) = (current.user.id, current.session.id);
    let mut tx = app.db.begin().await?;
    let forgotten = devices::forget_all(&mut tx, user, current.session.device).await?;
    let revoked = sessions::revoke_all(app, &mut tx, user, Some(session), "devices_forgotten", now).await?;
    let event = Event::new(Kind::DevicesForgotten, client).user(user).session(session);
    let detail = json!({ "forgotten": forgotten, "revoked": revoked });
    audit::record(app, &mut tx, event.detail(detail), now);
    tx.commit().await?;
    Ok((forgotten, revoked))
}

/// Records a first sign-in on a device and mails it to the owner of the account, unless it is the first sign-in at all:
/// that one is expected. `user` is as read before the sign-in was noted.
pub async fn tell_if_new(
    app: &App,
    tx: &mut Tx,
    user: &User,
    client: &Client,
    issued: &Issued,
    now: Timestamp,
) -> Result<()> {
    let Some(noted) = issued.device.as_ref().filter(|noted| noted.is_new) else { return Ok(()) };
    // An address that nobody has proven may be a stranger's.
    let wanted = app.config.notices.new_device && user.email_verified_at.is_some();
    if wanted && user.last_login_at.is_some() {
        mail_new(app, tx, user, client, issued, now).await?;
    }
    let event = Event::new(Kind::DeviceAdded, client).user(user.id).session(issued.session.id);
    audit::record(app, tx, event.detail(json!({ "device": noted.device.id })), now);
    Ok(())
}

async fn mail_new(
    app: &App,
    tx: &mut Tx,
    user: &User,
    client: &Client,
    issued: &Issued,
    now: Timestamp,
) -> Result<()> {
    if codes::issued_since(tx, Purpose::DisownSignIn, user.id, now.minus(DAY)).await? >= MOST_A_DAY {
        return Ok(());
    }
    let issue = Issue {
        purpose: Purpose::DisownSignIn,
        user: Some(user.id),
        subject: Some(&not_me::subject(issued.session.id, &user.email)),
        code: None,
        client: None,
        ttl: LINK_LIFE,
    };
    let token = codes::issue(app, tx, &issue, now).await?;
    let message = Message::NewDevice {
        at: now.rfc3339(),
        ip: client.ip.to_string(),
        place: app.places.of(client.ip).map(|place| place.to_string()),
        device: device::describe(client.agent.as_deref().unwrap_or_default()),
        link: format!("{}/not-me?token={}", app.public_url, token.expose()),
        days: LINK_LIFE.as_secs() / 86_400,
    };
    mail::enqueue(app, tx, &user.email, &message, now).await
}
