//! Built-in and replaced templates.
use super::enqueue;
use crate::support::{TestApp, TestClock, TestRandom, config_in};
use hallpass::config::Config;
use hallpass::mail::{self, Message};
use hallpass::start;
use hallpass::templates::Templates;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[test]
fn every_mail_renders_in_one_subject_line_with_text_and_html() {
    let templates = Templates::load(None).unwrap();
    for message in Message::samples() {
        let kind = message.kind();
        let mail = message.render(&templates, "Acme & Söhne").unwrap();
        assert!(mail.subject.contains("Acme & Söhne") && !mail.subject.contains('\n'), "{kind}");
        assert!(!mail.text.is_empty() && !mail.text.starts_with("Subject"), "{kind}");
        assert!(mail.html.contains("Acme &amp; Söhne") && mail.html.contains("<h1>"), "{kind}");
        assert!(!mail.html.contains("&lt;h1"), "{kind} is not escaped twice");
        assert!(mail.text.lines().all(|line| line.len() <= 120 || line.contains("://")), "{kind}");
        for text in [&mail.text, &mail.html] {
            assert!(!text.contains("{{") && !text.contains("undefined"), "{kind}");
        }
    }
}

#[test]
fn every_embedded_file_is_in_the_folder_and_the_other_way_round() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut files = Vec::new();
    for part in ["mail", "pages"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            files.push(format!("{part}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    let mut names: Vec<&str> = Templates::names().collect();
    files.sort();
    names.sort_unstable();
    assert_eq!(files, names);
}

#[test]
fn lifetimes_and_instants_read_well() {
    let templates = Templates::load(None).unwrap();
    let link = "https://auth.example.com/x?token=t".to_owned();
    let text = |seconds| {
        let message = Message::PasswordReset { link: link.clone(), seconds };
        message.render(&templates, "Acme").unwrap().text
    };
    for (seconds, words) in [
        (1, "1 second"),
        (45, "45 seconds"),
        (60, "1 minute"),
        (1800, "30 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (86_400, "24 hours"),
    ] {
        assert!(text(seconds).contains(&format!("good for {words}.")), "{seconds}");
    }
    let at = "2026-01-09T08:05:59.123Z".to_owned();
    let changed = Message::PasswordChanged { at, ip: "192.0.2.1".into(), device: "Firefox on Linux".into() };
    let text = changed.render(&templates, "Acme").unwrap().text;
    assert!(text.contains("9 January 2026 at 08:05 UTC"), "{text}");
}

#[test]
fn a_page_escapes_what_it_shows_and_needs_no_script() {
    let templates = Templates::load(None).unwrap();
    let page = json!({
        "title": "<script>", "text": "a & b", "action": "/password/reset", "token": "\"><script>",
        "button": "Go", "problems": ["<i>too short</i>"], "asks_password": true,
    });
    let html = templates.render("pages/action.html", &json!({ "product": "Acme", "page": page })).unwrap();
    assert!(!html.contains("<script") && !html.contains("<i>"), "{html}");
    assert!(html.contains("autocomplete=\"new-password\"") && html.contains("aria-describedby=\"problems\""));
    assert!(html.contains("<html lang=\"en\">") && html.contains("href=\"/assets/page.css\""));
    assert!(html.contains("<label for=\"password\">"));
}

#[test]
fn a_confirming_page_asks_for_nothing_but_the_button() {
    let templates = Templates::load(None).unwrap();
    let page =
        json!({ "title": "T", "text": "", "action": "/verify-email", "token": "t", "button": "Confirm" });
    let html = templates.render("pages/action.html", &json!({ "product": "Acme", "page": page })).unwrap();
    assert!(html.contains("<input type=\"hidden\" name=\"token\" value=\"t\">"));
    assert!(
        !html.contains("type=\"password\"")
            && !html.contains("role=\"alert\"")
            && !html.contains("id=\"about\"")
    );
}

#[tokio::test]
async fn a_template_of_the_operator_is_used() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "mail/welcome.txt", "Subject: Servus bei {{ product }}\n\nGrüß Gott!\n");
    write(folder.path(), "mail/layout.html", "<html><body>ours: {{ content }}</body></html>");
    let app = TestApp::start_with(|config| config.mail.templates_dir = Some(folder.path().to_owned())).await;
    enqueue(&app.app, "ann@example.com", &Message::Welcome {}).await;
    let mail = app.latest_mail("ann@example.com").await;
    assert_eq!(mail["subject"], "Servus bei Hallpass");
    assert_eq!(mail["text"], "Grüß Gott!");
    let html = mail["html"].as_str().unwrap();
    assert!(html.starts_with("<html><body>ours: <h1>Welcome</h1>"), "{html}");
}

async fn refused_start(folder: &Path, templates: &Path) -> String {
    let mut config = config_in(folder);
    config.mail.templates_dir = Some(templates.to_owned());
    let clock = Arc::new(TestClock::default());
    match start::start(config, clock, Arc::new(TestRandom::default()), true).await {
        Ok(_) => panic!("the server started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_broken_template_stops_the_start_and_is_named() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), "mail/welcome.html", "<h1>hello\n{% if %}");
    let problem = refused_start(data.path(), folder.path()).await;
    assert!(problem.contains("mail.templates_dir") && problem.contains("welcome.html, line 2"), "{problem}");
}

#[test]
fn a_template_that_can_only_break_later_is_found_at_start_too() {
    let check = |name: &str, text: &str| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), name, text);
        mail::check(&Config::default(), &Templates::load(Some(folder.path())).unwrap())
    };
    let problem = check("mail/password_reset.txt", "Subject: x\n\n{{ mail.lnik }}").unwrap_err();
    assert!(problem.contains("password_reset"), "{problem}");
    let problem = check("mail/welcome.txt", "no subject\n\ntext").unwrap_err();
    assert!(problem.contains("mail/welcome.txt must begin with a line \"Subject: "), "{problem}");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(check("mail/welcome.html", endless).is_err());
    assert!(mail::check(&Config::default(), &Templates::load(None).unwrap()).is_ok());
}

#[test]
fn a_certificate_file_that_is_none_is_found_at_start() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ca.pem", "no certificate");
    let mut config = Config::default();
    config.mail.smtp_url = Some(hallpass::config::Secret::new("smtps://user:secret@127.0.0.1:465"));
    config.mail.ca_file = Some(folder.path().join("ca.pem"));
    let problem = mail::check(&config, &Templates::load(None).unwrap()).unwrap_err();
    assert!(problem.contains("mail.ca_file") && !problem.contains("secret"), "{problem}");
}
