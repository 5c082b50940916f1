//! The program behind a user agent, for people to recognise their devices. A display aid, never a decision.
use serde::Serialize;
use utoipa::ToSchema;

/// A parsed user agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Device {
    /// For example `Firefox`.
    pub browser: Option<String>,
    /// For example `Android`.
    pub os: Option<String>,
    /// `desktop`, `mobile`, `tablet`, `script` or `unknown`.
    pub kind: &'static str,
}

/// Marks of browsers; the first that fits wins, so the specific ones come before those whose mark they also carry.
const BROWSERS: [(&str, &str); 20] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    ("curl/", "curl"),
    ("PostmanRuntime/", "Postman"),
    ("okhttp/", "OkHttp"),
    ("python-requests/", "Python requests"),
];

const SYSTEMS: [(&str, &str); 9] = [
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
];

/// Parses a user agent.
pub fn parse(agent: &str) -> Device {
    let find = |marks: &[(&str, &str)]| {
        marks.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| (*name).to_owned())
    };
    let (browser, os) = (find(&BROWSERS), find(&SYSTEMS));
    let script =
        ["curl/", "PostmanRuntime/", "okhttp/", "python-requests/"].iter().any(|mark| agent.contains(mark));
    let kind = if script {
        "script"
    } else if agent.contains("iPad") || (agent.contains("Android") && !agent.contains("Mobile")) {
        "tablet"
    } else if agent.contains("Mobile") || agent.contains("iPhone") {
        "mobile"
    } else if os.is_some() {
        "desktop"
    } else {
        "unknown"
    };
    Device { browser, os, kind }
}

/// The device in words, for mails: `Firefox on Linux`.
pub fn describe(agent: &str) -> String {
    match parse(agent) {
        Device { browser: Some(browser), os: Some(os), .. } => format!("{browser} on {os}"),
        Device { browser: Some(name), .. } | Device { os: Some(name), .. } => name,
        Device { .. } => "an unknown device".into(),
    }
}
