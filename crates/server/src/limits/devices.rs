//! Known devices: a signed cookie that a device gets with a full sign-in. It carries no authority; it only has its
//! failures counted apart (OWASP, "Slow down online guessing attacks with device cookies").
use crate::app::Inner;
use crate::cookies::{Cookie, SetCookies};
use crate::ids::UserId;
use crate::web::Client;
use hallpass_crypto::device::KnownDevice;
use std::time::Duration;

/// The longest life that browsers grant a cookie (draft-ietf-httpbis-rfc6265bis 5.5), counted from each sign-in.
const LIFE: Duration = Duration::from_secs(400 * 86_400);

/// The name of the caller's device, if it has signed this user in before.
pub(super) fn known_device(app: &Inner, client: &Client, user: UserId) -> Option<String> {
    let device = client.device.as_deref().and_then(KnownDevice::parse)?;
    device.knows(&app.secrets.devices, user.0.as_bytes()).then(|| device.name())
}

/// Whether the caller's device has signed this user in before.
pub fn knows_device(app: &Inner, client: &Client, user: UserId) -> bool {
    known_device(app, client, user).is_some()
}

/// The cookie after a full sign-in: the device's former one with this user added, or a new one.
pub fn remember_device(app: &Inner, client: &Client, user: UserId) -> SetCookies {
    let former = client.device.as_deref().and_then(KnownDevice::parse);
    // Only what we signed is kept, so that nobody chooses the name of a device.
    let former = former.and_then(|device| device.genuine(&app.secrets.devices));
    let device = former.unwrap_or_else(|| KnownDevice::new(app.random_bytes(), &app.secrets.devices));
    let device = device.with(&app.secrets.devices, user.0.as_bytes());
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.set(Cookie::Device, &device.expose(), LIFE));
    cookies
}
