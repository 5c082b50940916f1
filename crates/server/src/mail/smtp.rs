//! Delivery over SMTP (RFC 5321): always under TLS, implicit (RFC 8314) or by STARTTLS that is required (RFC 3207).
//!
//! The steps are driven here and not by lettre's transport, since what a failure means depends on the step: a refused
//! login is the operator's problem and is tried again, a refused recipient is final. It also lets one connection serve
//! a batch, and takes a mail for sent as soon as the server has, whatever happens to the farewell.
use super::message::{Rendered, one_line};
use crate::clock::Timestamp;
use crate::config::Mail as Settings;
use crate::ids::RowId;
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::timeout;
use url::{Host, Url};

/// How long the farewell may take; nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(2);
/// Longest kept reply of a server, in characters.
const REPLY_MAX: usize = 300;
/// The last second that a mail's date can show.
const LAST_SECOND: u64 = 253_402_300_799;

/// A mail with its address.
pub(super) struct Outgoing<'a> {
    pub(super) id: RowId,
    pub(super) to: &'a str,
    pub(super) content: &'a Rendered,
    pub(super) date: Timestamp,
}

/// Why a mail was not taken. The text is for the operator and has no credentials.
#[derive(Debug)]
pub(super) enum Failure {
    /// No mail can be delivered now: no connection, no TLS, no login.
    Server(String),
    /// This one may be taken later.
    Later(String),
    /// This one will never be taken.
    Refused(String),
}

/// How the connection is protected.
enum Protection {
    Implicit(TlsParameters),
    StartTls(TlsParameters),
    /// To this machine only.
    Plain,
}

/// A server to deliver to, connected when first needed.
pub(super) struct Mailer {
    host: String,
    port: u16,
    protection: Protection,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// Right side of Message-ID.
    domain: String,
    from: Mailbox,
    patience: Duration,
    connection: Option<AsyncSmtpConnection>,
}

impl Mailer {
    /// Prepares delivery as configured; `None` without `mail.smtp_url`. Opens no connection.
    ///
    /// # Errors
    /// A sentence for the operator that names the setting.
    pub(super) fn new(settings: &Settings, public_url: &str) -> Result<Option<Self>, String> {
        let Some(secret) = &settings.smtp_url else { return Ok(None) };
        // The URL is never shown: it has the password.
        let url = Url::parse(secret.expose()).map_err(|error| format!("mail.smtp_url: {error}"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let from = settings.from.parse::<Mailbox>().map_err(|error| format!("mail.from: {error}"))?;
        let name = from.name.as_deref().map(one_line);
        let (hello, domain) = own_name(public_url);
        Ok(Some(Self {
            port: url.port().unwrap_or(if url.scheme() == "smtps" { 465 } else { 587 }),
            protection: protection(settings, url.scheme(), &host)?,
            credentials: credentials(&url)?,
            host,
            hello,
            domain,
            from: Mailbox::new(name, from.email),
            patience: settings.timeout,
            connection: None,
        }))
    }

    /// Delivers one mail within `mail.timeout`, connecting first if need be.
    pub(super) async fn deliver(&mut self, mail: &Outgoing<'_>) -> Result<(), Failure> {
        let (message, to) = self.compose(mail)?;
        let patience = self.patience;
        let Ok(result) = timeout(patience, self.transact(&to, &message)).await else {
            let text = format!("no answer within {}", humantime::format_duration(patience));
            return Err(match self.connection.take() {
                Some(_) => Failure::Later(text),
                None => Failure::Server(text),
            });
        };
        if result.is_err()
            && let Some(mut connection) = self.connection.take()
        {
            // What state the server is in is unknown; the next mail gets a new connection.
            let _ = timeout(FAREWELL, connection.abort()).await;
        }
        result
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = timeout(FAREWELL, connection.quit()).await;
        }
    }

    async fn transact(&mut self, to: &Address, message: &[u8]) -> Result<(), Failure> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let opened = self.open().await.map_err(|error| Failure::Server(describe(&error)))?;
                self.connection.insert(opened)
            }
        };
        let from = MailFrom::new(Some(self.from.email.clone()), Vec::new());
        // A refused sender is a setting to mend, not the end of the mail.
        connection.command(from).await.map_err(|error| Failure::Later(describe(&error)))?;
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(judge)?;
        // Exactly these codes: an answer that belongs to another step must not pass for a delivery.
        expect(&connection.command(Data).await.map_err(judge)?, 354)?;
        expect(&connection.message(message).await.map_err(judge)?, 250)
    }

    /// Connects, protects, logs in; nothing but EHLO and STARTTLS is said before TLS.
    async fn open(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let address = (self.host.as_str(), self.port);
        let implicit = match &self.protection {
            Protection::Implicit(tls) => Some(tls.clone()),
            Protection::StartTls(_) | Protection::Plain => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.patience), &self.hello, implicit, None)
                .await?;
        if let Protection::StartTls(tls) = &self.protection {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn compose(&self, mail: &Outgoing<'_>) -> Result<(Vec<u8>, Address), Failure> {
        let refused = |what: &str| Failure::Refused(format!("the mail cannot be composed: {what}"));
        let to: Address = mail.to.parse().map_err(|_| refused("its address is malformed"))?;
        let seconds = u64::try_from(mail.date.seconds()).unwrap_or_default().min(LAST_SECOND);
        let body = MultiPart::alternative()
            .boundary(format!("hallpass-{}", mail.id))
            .singlepart(SinglePart::plain(mail.content.text.clone()))
            .singlepart(SinglePart::html(mail.content.html.clone()));
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(one_line(&mail.content.subject))
            .date(UNIX_EPOCH + Duration::from_secs(seconds))
            // The same at every attempt, so that a mail that came twice is shown once.
            .message_id(Some(format!("<{}@{}>", mail.id, self.domain)))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .multipart(body)
            .map_err(|error| refused(&error.to_string()))?;
        Ok((message.formatted(), to))
    }
}

/// RFC 3834: no automatic answers, please.
fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn protection(settings: &Settings, scheme: &str, host: &str) -> Result<Protection, String> {
    if settings.plain_loopback && scheme == "smtp" {
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        return if loopback {
            Ok(Protection::Plain)
        } else {
            Err("mail.plain_loopback: mail without TLS goes to a loopback server only".into())
        };
    }
    let tls = tls(settings, host)?;
    Ok(if scheme == "smtps" { Protection::Implicit(tls) } else { Protection::StartTls(tls) })
}

fn tls(settings: &Settings, host: &str) -> Result<TlsParameters, String> {
    let builder = TlsParameters::builder(host.to_owned());
    let builder = match &settings.ca_file {
        None => builder.certificate_store(CertificateStore::WebpkiRoots),
        Some(file) => {
            let problem = |what: String| format!("mail.ca_file: {} {what}", file.display());
            let pem = std::fs::read(file).map_err(|error| problem(format!("cannot be read: {error}")))?;
            // The parser takes a file without any certificate for an empty list.
            let authority = Certificate::from_pem(&pem).ok().filter(|_| has_certificate(&pem));
            let authority = authority.ok_or_else(|| problem("has no PEM certificate".into()))?;
            builder.certificate_store(CertificateStore::None).add_root_certificate(authority)
        }
    };
    builder.build().map_err(|error| format!("mail.ca_file: {}", describe(&error)))
}

fn has_certificate(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
}

fn credentials(url: &Url) -> Result<Option<Credentials>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |part: &str| percent_decode(part).ok_or("mail.smtp_url: user or password is not UTF-8");
    Ok(Some(Credentials::new(decode(url.username())?, decode(url.password().unwrap_or_default())?)))
}

/// RFC 3986 2.1; a `+` stays a `+`.
fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let code = match (first, others) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        decoded.push(code.map_or(*first, |(high, low)| high * 16 + low));
        rest = if code.is_some() { others.get(2..)? } else { others };
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How the server is called: in EHLO, and in Message-ID.
fn own_name(public_url: &str) -> (ClientId, String) {
    match Url::parse(public_url).ok().and_then(|url| url.host().map(|host| host.to_owned())) {
        Some(Host::Ipv4(ip)) => (ClientId::Ipv4(ip), format!("[{ip}]")),
        Some(Host::Ipv6(ip)) => (ClientId::Ipv6(ip), format!("[IPv6:{ip}]")),
        Some(Host::Domain(domain)) => (ClientId::Domain(domain.clone()), domain),
        None => (ClientId::Domain("localhost".into()), "localhost".into()),
    }
}

fn expect(reply: &Response, code: u16) -> Result<(), Failure> {
    if reply.has_code(code) {
        return Ok(());
    }
    Err(Failure::Later(format!("the server answered {} instead of {code}", reply.code())))
}

/// 5xx to the recipient or the content is final, everything else may pass.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn judge(error: SmtpError) -> Failure {
    let text = describe(&error);
    if error.is_permanent() { Failure::Refused(text) } else { Failure::Later(text) }
}

/// The server's words, cut and on one line.
fn describe(error: &SmtpError) -> String {
    one_line(&error.to_string()).chars().take(REPLY_MAX).collect()
}
