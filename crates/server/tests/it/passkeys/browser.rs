//! In real Chromium, with its virtual authenticator (WebAuthn Level 3, 11).
use super::{ANN, refusals};
use crate::support::PASSWORD;
use crate::support::browser::Browser;
use crate::support::served::Served;
use serde_json::{Value, json};

/// Calls the API as a page of the same origin does.
const CALL: &str = "
    const call = async (path, body) => {
        const csrf = document.cookie.split('; ').map(pair => pair.split('=')).find(pair => pair[0] === 'csrfToken');
        const headers = { 'content-type': 'application/json' };
        if (csrf) headers['x-csrf-token'] = csrf[1];
        const answer = await fetch('/api/v1' + path, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
        return { status: answer.status, body: await answer.json() };
    };
    const signIn = async (identifier, extra) => {
        const begun = (await call('/login/passkey/options', { identifier })).body;
        const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options);
        const credential = await navigator.credentials.get({ publicKey, ...extra });
        return await call('/login/passkey', { ceremony: begun.ceremony, credential: credential.toJSON() });
    };";

async fn run(browser: &Browser, script: &str) -> Value {
    browser.run(&format!("{CALL}{script}"), json!({ "email": ANN, "password": PASSWORD })).await
}

#[tokio::test]
async fn a_person_enrols_a_passkey_in_a_browser_and_signs_in_with_nothing_else() {
    let running = Served::start().await;
    let server = &running.test;
    server.sign_up(ANN).await;
    let browser = Browser::start(true).await;
    browser.ignore_policies().await;
    let authenticator = browser.add_authenticator().await;
    browser.open(&format!("{}/password/forgot", server.app.public_url)).await;

    let enrolled = run(
        &browser,
        "const signedIn = await call('/login', { email: args.email, password: args.password, tokenDelivery: 'cookies' });
         if (signedIn.status !== 200) return signedIn;
         const begun = (await call('/factors/passkeys/options')).body;
         const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options);
         const credential = await navigator.credentials.create({ publicKey });
         return await call('/factors/passkeys', { ceremony: begun.ceremony, credential: credential.toJSON() });",
    )
    .await;
    assert_eq!(enrolled["status"], 201, "{enrolled}");
    let passkey = &enrolled["body"]["passkey"];
    assert_eq!((&passkey["userVerified"], &passkey["transports"]), (&json!(true), &json!(["internal"])));
    assert!(passkey["name"].as_str().unwrap().contains("Chrome"), "{passkey}");
    let credentials = browser.credentials(&authenticator).await;
    assert_eq!((credentials.len(), &credentials[0]["isResidentCredential"]), (1, &json!(true)));
    assert_eq!(credentials[0]["rpId"], "localhost");

    // The same authenticator enrols no second one.
    let again = run(
        &browser,
        "const begun = (await call('/factors/passkeys/options')).body;
         const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options);
         return await navigator.credentials.create({ publicKey }).catch(error => error.name);",
    )
    .await;
    assert_eq!(again, "InvalidStateError");

    for identifier in ["undefined", "args.email"] {
        let signed_in =
            run(&browser, &format!("await call('/logout'); return await signIn({identifier});")).await;
        assert_eq!(signed_in["status"], 200, "{signed_in}");
        assert_eq!(signed_in["body"]["user"]["email"], ANN);
        let amr = signed_in["body"]["session"]["amr"].to_string();
        assert!(amr.contains("mfa") && amr.contains("user") && amr.contains("wk"), "{amr}");
    }
    let unknown =
        run(&browser, "return await signIn('nobody@example.com').catch(error => error.name);").await;
    assert_eq!(unknown, "NotAllowedError", "no authenticator has a credential that does not exist");

    browser.set_user_verified(&authenticator, false).await;
    let unverified = run(&browser, "return await signIn().catch(error => error.name);").await;
    assert_eq!(unverified, "NotAllowedError");
    assert!(refusals(server).await.is_empty());
    browser.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_browser_offers_a_passkey_in_the_autofill_of_a_form() {
    let running = Served::start().await;
    let server = &running.test;
    server.sign_up(ANN).await;
    let browser = Browser::start(true).await;
    browser.ignore_policies().await;
    browser.add_authenticator().await;
    browser.open(&format!("{}/password/forgot", server.app.public_url)).await;
    let signed_in = run(
        &browser,
        "await call('/login', { email: args.email, password: args.password, tokenDelivery: 'cookies' });
         const begun = (await call('/factors/passkeys/options')).body;
         const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options);
         const made = await navigator.credentials.create({ publicKey });
         await call('/factors/passkeys', { ceremony: begun.ceremony, credential: made.toJSON() });
         await call('/logout');
         if (!await PublicKeyCredential.isConditionalMediationAvailable()) return 'unavailable';
         document.querySelector('input[name=email]').autocomplete = 'username webauthn';
         return await signIn(undefined, { mediation: 'conditional' });",
    )
    .await;
    assert_eq!(signed_in["status"], 200, "{signed_in}");
    assert_eq!(signed_in["body"]["user"]["email"], ANN);
    browser.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_browser_holds_no_ceremony_for_another_site() {
    let running = Served::start().await;
    let browser = Browser::start(true).await;
    browser.ignore_policies().await;
    browser.add_authenticator().await;
    // The same server under an address that is not its public one: what a phishing proxy shows.
    let elsewhere = running.test.app.public_url.replace("localhost", "127.0.0.1");
    browser.open(&format!("{elsewhere}/password/forgot")).await;
    let refused = run(&browser, "return await signIn().catch(error => error.name);").await;
    assert_eq!(refused, "SecurityError");
    browser.stop().await;
    running.stop().await;
}
