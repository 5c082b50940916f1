//! Ends of chains that are under no known key.
use super::process::Place;
use hallpass::db::{Db, Options, Statements};
use serde_json::{Value, json};

/// Ends of chains, `main` left out, as somebody would leave them who wrote into the log and lacks the key. Returns how many.
fn forge_ends(place: &Place) -> u64 {
    let url = format!("sqlite:{}", place.database().display());
    let db = Db::open(&url, &Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sql = "update audit_chains set mac = head where seq > 0 and chain not in ('main', 'before')";
    runtime.block_on(async { (&mut &db).execute(sql, &[]).await.unwrap() })
}

#[test]
fn ends_under_no_known_key_are_signed_only_on_the_word_of_an_operator() {
    let place = Place::migrated();
    let sign = |more: &[&str]| place.run(&[&["audit", "sign-ends"], more].concat());
    assert_eq!(sign(&["--yes", "--json"]).json(), json!({ "signed": [] }));
    assert!(sign(&["--yes"]).succeeds().out.contains("Every end is under the secret key."));
    let signings = || {
        let listed = place.run(&["audit", "list", "--kind", "audit_ends_signed", "--json"]).json();
        listed["events"].as_array().unwrap().clone()
    };
    assert_eq!(signings(), Vec::<Value>::new(), "nothing was signed, so nothing is told");

    place.add_user("ann@example.com");
    assert_eq!(forge_ends(&place), 1);
    let verify = || place.run(&["audit", "verify"]);
    verify().fails_with("`hallpass audit sign-ends`");
    // No terminal, and nobody's word.
    for more in [&[][..], &["--json"]] {
        sign(more).fails_with("add --yes to go ahead");
    }
    place.run_with(&["audit", "sign-ends"], "yes\n").fails_with("Nothing was changed");
    verify().fails_with("not under this server's secret key");
    assert_eq!(signings(), Vec::<Value>::new());

    let signed = sign(&["--yes", "--json"]).json();
    let chains = signed["signed"].as_array().unwrap();
    assert_eq!(chains.len(), 1, "{signed}");
    assert!(verify().succeeds().out.contains("The audit log is whole"));
    let told = signings();
    assert_eq!((told.len(), &told[0]["detail"]["chains"]), (1, &signed["signed"]), "{told:?}");
    assert_eq!(sign(&["--yes", "--json"]).json(), json!({ "signed": [] }), "once is enough");

    assert_eq!(forge_ends(&place), 1);
    let said = sign(&["--yes"]).succeeds().out;
    assert!(said.contains(&format!("Signed: {}.", chains[0].as_str().unwrap())), "{said}");
}
