//! Devices on which people have signed in: each keeps one opaque secret, and is known to the people who signed in with it.
//!
//! Invariants: the secret is stored only as a hash, and only this module makes one, so that nobody chooses it; a person's
//! first sign-in on a device gives it a new secret, so that whoever planted or copied the former one holds nothing of that
//! person's; to be known opens nothing: it moves failures into a count of their own, keeps quiet about a sign-in, and, only
//! while trusted, stands in for the second factor after the first one was right (`docs/decisions/devices.md`).
mod store;

use crate::app::{App, Inner};
use crate::audit::{self, Event, Kind};
use crate::clock::Timestamp;
use crate::cookies::Cookie;
use crate::db::{Statements, Tx};
use crate::error::Result;
use crate::ids::{DeviceId, UserId};
use crate::web::Client;
use axum::http::header::HeaderValue;
use data_encoding::HEXLOWER;
use hallpass_crypto::secret::{Kind as SecretKind, Opaque};
use serde_json::json;
use std::cmp::Reverse;
use std::time::Duration;
use uuid::Uuid;

/// The longest life that browsers grant a cookie (draft-ietf-httpbis-rfc6265bis 5.5), counted from each sign-in.
const LIFE: Duration = Duration::from_secs(400 * 86_400);
/// Devices of a person; trusted ones stay longest, then those of the latest sign-ins.
const MOST_DEVICES: usize = 50;
/// People of a device; the one who signed in longest ago makes room.
const MOST_USERS: i64 = 6;

/// A device as one person's.
#[derive(Clone, Debug)]
pub struct Device {
    /// Id.
    pub id: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Address of the latest sign-in.
    pub ip: String,
    /// Program of the latest sign-in.
    pub user_agent: Option<String>,
    /// The first sign-in.
    pub created_at: Timestamp,
    /// The latest sign-in.
    pub last_sign_in_at: Timestamp,
    /// Until when it may do without the second factor; never while `factors.remember_device` is 0.
    pub trusted_until: Option<Timestamp>,
}

impl Device {
    /// Whether a sign-in on it may do without the second factor.
    pub fn trusted(&self, now: Timestamp) -> bool {
        self.trusted_until.is_some_and(|until| until > now)
    }

    /// What was trusted once does not count while the setting says never.
    fn under(mut self, app: &Inner) -> Self {
        self.trusted_until = self.trusted_until.filter(|_| !app.config.factors.remember_device.is_zero());
        self
    }
}

/// The device of a sign-in.
pub struct Noted {
    /// The device.
    pub device: Device,
    /// What it is to keep from now on.
    pub secret: Opaque,
    /// Whether it keeps the former one in a cookie. Then this one goes there only: a page's script that signs somebody in must not
    /// learn the secret of a device that others trust.
    pub in_cookie: bool,
    /// Whether this person had not signed in on it before.
    pub is_new: bool,
}

fn presented(client: &Client) -> Option<Opaque> {
    client.device.as_deref().and_then(|text| Opaque::parse(SecretKind::Device, text))
}

/// The caller's device, if this person has signed in on it. For nobody it does the same and finds nothing.
pub async fn recognise(
    app: &Inner,
    mut db: impl Statements,
    client: &Client,
    user: Option<UserId>,
) -> Result<Option<Device>> {
    let Some(secret) = presented(client) else { return Ok(None) };
    let user = user.unwrap_or(UserId(Uuid::nil()));
    let found = store::find(&mut db, &secret.digest(), user).await?;
    Ok(found.map(|device| device.under(app)))
}

/// Notes a full sign-in on the caller's device, which is known from then on.
pub async fn note_sign_in(
    app: &Inner,
    tx: &mut Tx,
    user: UserId,
    client: &Client,
    name: Option<&str>,
    now: Timestamp,
) -> Result<Noted> {
    let ip = client.ip.to_string();
    let sighting = store::Sighting { user, name, ip: &ip, agent: client.agent.as_deref(), now };
    let former = presented(client);
    let in_cookie = former.is_some() && client.device_in_cookie;
    if let Some(secret) = &former
        && let Some(device) = store::seen(tx, &secret.digest(), &sighting).await?
    {
        return Ok(Noted { device: device.under(app), secret: secret.clone(), in_cookie, is_new: false });
    }
    let secret = Opaque::mint(SecretKind::Device, app.random_bytes());
    if let Some(former) = former {
        let digest = former.digest();
        // Rows of several people: two such moves at a time could wait for each other.
        tx.lock(&format!("device/{}", HEXLOWER.encode(&digest))).await?;
        store::move_to(tx, &digest, &secret.digest(), MOST_USERS - 1).await?;
    }
    make_room(tx, user, now).await?;
    let id = DeviceId(app.new_id(now));
    store::insert(tx, id, &secret.digest(), &sighting).await?;
    let device = Device {
        id,
        user,
        name: name.map(str::to_owned),
        ip,
        user_agent: client.agent.clone(),
        created_at: now,
        last_sign_in_at: now,
        trusted_until: None,
    };
    Ok(Noted { device, secret, in_cookie, is_new: true })
}

/// Forgets what is too much for one more device.
async fn make_room(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<()> {
    let mut devices = store::of_user(tx, user).await?;
    devices.sort_by_key(|device| Reverse((device.trusted(now), device.last_sign_in_at)));
    for device in devices.iter().skip(MOST_DEVICES - 1) {
        store::forget(tx, user, device.id).await?;
    }
    Ok(())
}

/// Lets a device do without the second factor for as long as `factors.remember_device` says, on its owner's wish after
/// a sign-in with that factor. Returns until when; nothing when the setting says never.
pub async fn trust(
    app: &App,
    tx: &mut Tx,
    client: &Client,
    device: &Device,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let life = app.config.factors.remember_device;
    let until = now.plus(life);
    if life.is_zero() || !store::trust(tx, device.id, until).await? {
        return Ok(None);
    }
    let event = Event::new(Kind::DeviceTrusted, client).user(device.user);
    let detail = json!({ "device": device.id, "until": until.rfc3339() });
    audit::record(app, tx, event.detail(detail), now);
    Ok(Some(until))
}

/// Ends the trust of all devices of a person; they stay known.
pub async fn distrust_all(tx: &mut Tx, user: UserId) -> Result<()> {
    Ok(store::distrust_all(tx, user).await?)
}

/// Ends the trust of one device; it stays known.
pub async fn distrust(tx: &mut Tx, id: DeviceId) -> Result<()> {
    Ok(store::distrust(tx, id).await?)
}

/// A person's devices, the latest sign-in first.
pub async fn of_user(app: &Inner, user: UserId) -> Result<Vec<Device>> {
    let devices = store::of_user(&mut &app.db, user).await?;
    Ok(devices.into_iter().map(|device| device.under(app)).collect())
}

/// Makes one device of a person unknown. Whoever calls this ends its sessions afterwards, in the same transaction: then
/// none can begin on it in between. Returns whether it was known.
pub async fn forget(tx: &mut Tx, user: UserId, id: DeviceId) -> Result<bool> {
    Ok(store::forget(tx, user, id).await?)
}

/// Makes all devices of a person but one unknown, before their sessions end; returns how many were known.
pub async fn forget_all(tx: &mut Tx, user: UserId, except: Option<DeviceId>) -> Result<u64> {
    Ok(store::forget_all(tx, user, except).await?)
}

/// The cookie that keeps a device's secret.
pub fn cookie(app: &Inner, secret: &Opaque) -> Option<HeaderValue> {
    app.cookies.set(Cookie::Device, &secret.expose(), LIFE)
}

/// Removes devices without a sign-in since an instant, a batch at a time; returns how many.
pub async fn purge(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    Ok(store::purge(tx, before).await?)
}
