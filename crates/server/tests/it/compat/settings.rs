//! One setting each, off by default, with defaults that settings of one's own replace.
use hallpass::config::{Config, EmailOtp, RegistrationMode, Sources, load};

fn loaded(settings: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let flags = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { flags, ..Sources::default() };
    load(&sources).map(|(config, _)| config).map_err(|wrong| wrong.into_iter().map(|one| one.path).collect())
}

#[test]
fn each_profile_is_one_setting_that_brings_its_defaults_along() {
    let plain = loaded(&[]).unwrap();
    assert!(!plain.compat.any());
    let authify = loaded(&[("compat.authify", "true")]).unwrap();
    assert_eq!(authify.registration.mode, RegistrationMode::Immediate);
    assert_eq!((authify.login.email_otp, authify.sessions.max_per_user), (EmailOtp::Off, 0));
    let authy = loaded(&[("compat.authy", "true")]).unwrap();
    assert_eq!(authy.registration.mode, RegistrationMode::Pending);
    assert_eq!((authy.login.email_otp, authy.sessions.max_per_user), (EmailOtp::Always, 1));
    assert_eq!(authy.sessions.absolute_ttl.as_secs(), 7 * 86_400);
    let own = [("compat.authy", "true"), ("sessions.max_per_user", "3"), ("login.email_otp", "new_device")];
    let own = loaded(&own).unwrap();
    assert_eq!((own.login.email_otp, own.sessions.max_per_user), (EmailOtp::NewDevice, 3));
    let own = loaded(&[("compat.authify", "true"), ("registration.mode", "pending")]).unwrap();
    assert_eq!(own.registration.mode, RegistrationMode::Pending);
}

#[test]
fn what_does_not_fit_together_stops_the_start() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("compat.authify", "true"), ("compat.authy", "true")], "compat.authify"),
        (&[("compat.login_status", "204")], "compat.login_status"),
        (&[("compat.missing_access_status", "200")], "compat.missing_access_status"),
        (&[("compat.authy", "true"), ("compat.verify_page", "app.example.com")], "compat.verify_page"),
        (&[("compat.authy", "true"), ("compat.cross_site_cookies", "true")], "compat.cross_site_cookies"),
        (&[("compat.authify", "true"), ("profile", "strict")], "compat.authify"),
    ];
    for (settings, path) in cases {
        let wrong = loaded(settings).unwrap_err();
        assert!(wrong.iter().any(|one| one == path), "{settings:?}: {wrong:?}");
    }
}
