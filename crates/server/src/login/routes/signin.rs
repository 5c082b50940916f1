//! Sign in, finish a sign-in, have another code mailed, set up what is missing.
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::{Code, Error, Problem, Result};
use crate::factors::TotpSetup;
use crate::hashing::Password;
use crate::login::admit::{Admitted, Wanted};
use crate::login::passkey::Answered;
use crate::login::password::{SignIn, sign_in};
use crate::login::passwordless::{self, ByMail};
use crate::login::resend;
use crate::login::second::{self, Finish, Given, Method, Which};
use crate::names::{EMAIL_MAX, Email};
use crate::sessions::{Delivery, EMAIL_OTP, Said, SessionView, TokenBody, deliver};
use crate::users::UserView;
use crate::web::client::KnownDevice;
use crate::web::{Body, Client, Fields, FromFields, MaybeBody, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hallpass_crypto::secret::Opaque;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

/// The routes of this file.
pub(super) fn routes() -> Routes {
    Routes::new()
        .merge(handlers!(login))
        .merge(handlers!(login_by_mail))
        .merge(handlers!(finish))
        .merge(handlers!(resend_code))
        .merge(handlers!(enrol))
}

/// Answer of a sign-in: a session, or what is still missing.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SignInBody {
    /// In.
    SignedIn(Box<SignedInBody>),
    /// Something is missing.
    Wanted(WantedBody),
}

/// A session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedInBody {
    /// What happened.
    message: &'static str,
    #[serde(flatten)]
    tokens: TokenBody,
    /// Who.
    user: UserView,
    /// In which session.
    session: SessionView,
    /// Ten codes that each stand in for the second factor once, when one was set up on the way. Shown this one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// What a sign-in still needs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WantedBody {
    /// `second_factor_required`: call verify. `enrolment_required`: call verify/enrol, then verify.
    status: &'static str,
    /// Names the attempt; also in a cookie.
    attempt: String,
    /// What would do: `email_otp`, `totp`, `recovery_code`, `passkey`.
    methods: Vec<&'static str>,
    /// Life of the attempt in seconds.
    expires_in: u64,
}

/// What every way in answers.
pub(super) fn answer(
    app: &App,
    message: &'static str,
    admitted: &Admitted,
) -> (SetCookies, Json<SignInBody>) {
    match admitted {
        Admitted::SignedIn(done) => {
            let (cookies, tokens) = deliver(app, &done.issued, done.issued.session.delivery, app.now());
            let session = SessionView { current: Some(true), ..done.issued.session.view() };
            let (user, recovery_codes) = (done.user.view(&done.issued.grants), done.recovery_codes.clone());
            let body = SignedInBody { message, tokens, user, session, recovery_codes };
            (cookies, Json(SignInBody::SignedIn(Box::new(body))))
        }
        Admitted::Wanted(wanted) => {
            let cookies = attempt_cookie(app, &wanted.attempt, wanted.life);
            (cookies, Json(SignInBody::Wanted(wanted_body(wanted))))
        }
    }
}

/// What is missing, as clients are told.
pub fn wanted_body(wanted: &Wanted) -> WantedBody {
    WantedBody {
        status: if wanted.enrolment { "enrolment_required" } else { "second_factor_required" },
        attempt: wanted.attempt.expose(),
        methods: wanted.methods.clone(),
        expires_in: wanted.life.as_secs(),
    }
}

/// Removes the cookie of an attempt that has served.
pub fn over(app: &App, admitted: &Admitted) -> SetCookies {
    let mut cookies = SetCookies::default();
    if matches!(admitted, Admitted::SignedIn(_)) {
        cookies.add(app.cookies.clear(Cookie::Attempt));
    }
    cookies
}

/// The cookie that names an attempt.
pub fn attempt_cookie(app: &App, attempt: &Opaque, life: Duration) -> SetCookies {
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.set(Cookie::Attempt, &attempt.expose(), life));
    cookies
}

/// A sign-in by password.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct LoginRequest {
    /// Address or username; under the name `email` or `username` it does as well.
    identifier: String,
    /// Password.
    #[schema(value_type = String)]
    password: Password,
    /// Where the tokens go.
    #[schema(value_type = Option<Delivery>)]
    token_delivery: Delivery,
    /// What the owner calls the device.
    device_name: Option<String>,
}

impl FromFields for LoginRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Self::with_default(fields, Delivery::Cookie)
    }
}

impl LoginRequest {
    /// Reads, where tokens travel in this way unless the client says otherwise.
    pub fn with_default(fields: &mut Fields, delivery: Delivery) -> Option<Self> {
        let identifier = fields.first_of(&["email", "identifier", "username"], EMAIL_MAX);
        let password = fields.password("password");
        let token_delivery = Delivery::from_fields_or(fields, delivery);
        let device_name = fields.optional_text("deviceName", 100);
        let (identifier, password) = (identifier?, password?);
        Some(Self { identifier, password, token_delivery: token_delivery?, device_name })
    }

    /// What is asked for.
    pub fn into_wish(self) -> SignIn {
        let Self { identifier, password, token_delivery: delivery, device_name } = self;
        SignIn { identifier, password, delivery, device_name }
    }
}

/// Signs in by password, as far as that goes.
#[utoipa::path(post, path = "/api/v1/login", tag = "accounts", params(KnownDevice), request_body = LoginRequest, responses(
    (status = 200, body = SignInBody), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn login(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<LoginRequest>,
) -> Result<(SetCookies, Json<SignInBody>)> {
    let admitted = sign_in(&app, &client, request.into_wish()).await?;
    Ok(answer(&app, "Signed in.", &admitted))
}

/// A wish to sign in by the mailbox alone.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct MailLoginRequest {
    /// Address of the account.
    #[schema(value_type = String)]
    email: Email,
    /// Where the tokens go.
    #[schema(value_type = Option<Delivery>)]
    token_delivery: Delivery,
    /// What the owner calls the device.
    device_name: Option<String>,
}

impl FromFields for MailLoginRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.email("email");
        let token_delivery = Delivery::from_fields(fields);
        let device_name = fields.optional_text("deviceName", 100);
        Some(Self { email: email?, token_delivery: token_delivery?, device_name })
    }
}

/// Answer of a wish to sign in by the mailbox alone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailedBody {
    /// What to do.
    message: &'static str,
    /// Names the attempt, for verify; also in a cookie.
    attempt: String,
    /// `email_otp`.
    methods: [&'static str; 1],
    /// Life of the attempt in seconds.
    expires_in: u64,
}

/// Mails a link and a code that sign in without a password, if the address has an account. The answer does not tell.
#[utoipa::path(post, path = "/api/v1/login/email", tag = "accounts", params(KnownDevice), request_body = MailLoginRequest, responses(
    (status = 202, body = MailedBody), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, description = "login.passwordless is off", body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn login_by_mail(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<MailLoginRequest>,
) -> Result<(StatusCode, SetCookies, Json<MailedBody>)> {
    let MailLoginRequest { email, token_delivery: delivery, device_name, .. } = request;
    let (attempt, life) =
        passwordless::request(&app, &client, &ByMail { email, delivery, device_name }).await?;
    let message = "If the address has an account, a mail with a link and a code is on its way.";
    let cookies = attempt_cookie(&app, &attempt, life);
    let body =
        MailedBody { message, attempt: attempt.expose(), methods: [EMAIL_OTP], expires_in: life.as_secs() };
    Ok((StatusCode::ACCEPTED, cookies, Json(body)))
}

/// The second step of a sign-in.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct FinishRequest {
    /// The code: mailed, of the authenticator app, or a recovery code. Or else `passkey` and `ceremony`.
    otp: Option<String>,
    /// The assertion as `toJSON()` gives it.
    #[schema(value_type = Option<Object>)]
    passkey: Option<Value>,
    /// From the options of the passkey.
    ceremony: Option<String>,
    /// From the answer of the first step; the cookie does as well.
    attempt: Option<String>,
    /// If it is sent, it must be the address of the account.
    #[schema(value_type = Option<String>)]
    email: Option<Email>,
    /// `email_otp`, `totp` or `recovery_code`; without it the form of the code tells.
    #[schema(value_type = Option<String>)]
    method: Option<Method>,
    /// After a second factor: whether this device may do without it for as long as `factors.remember_device` says.
    #[schema(value_type = Option<bool>)]
    remember_device: bool,
}

impl FromFields for FinishRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let passkey = fields.optional_object("passkey");
        let ceremony = if passkey.is_some() { fields.token("ceremony") } else { None };
        let otp = if passkey.is_some() { fields.optional_code("otp") } else { fields.code("otp") };
        let attempt = fields.optional_token("attempt");
        let email = fields.optional_email("email");
        let method = fields.choice("method", &Method::NAMES, None);
        let remember_device = fields.optional_flag("rememberDevice").unwrap_or(false);
        Some(Self { otp, passkey, ceremony, attempt, email, method: method?, remember_device })
    }
}

impl FinishRequest {
    /// What is asked for, about the attempt of the body or of the cookie.
    ///
    /// # Errors
    /// [`Code::InvalidAttempt`].
    pub fn into_wish(self, app: &App, headers: &HeaderMap) -> Result<Finish> {
        let Self { otp, passkey, ceremony, attempt, email, method, remember_device } = self;
        let attempt = match (named(app, headers, attempt), &email) {
            (Err(error), Some(email)) if error.code == Code::InvalidAttempt && app.config.compat.authy => {
                Which::Latest(email.clone())
            }
            (token, _) => Which::Token(token?),
        };
        let given = match (passkey, ceremony) {
            (Some(credential), Some(ceremony)) => Given::Passkey(Answered { ceremony, credential }),
            _ => Given::Typed(otp.unwrap_or_default(), method),
        };
        Ok(Finish { attempt, email, given, remember_device })
    }
}

/// The attempt that a call is about: from the body, or from the cookie.
pub(super) fn named(app: &App, headers: &HeaderMap, sent: Option<String>) -> Result<String> {
    let cookie = app.cookies.read(headers, Cookie::Attempt)?.map(str::to_owned);
    sent.or(cookie).ok_or_else(|| Error::new(Code::InvalidAttempt))
}

/// Finishes a sign-in by a code or a passkey, or takes it one step further.
#[utoipa::path(post, path = "/api/v1/verify", tag = "accounts", params(KnownDevice), request_body = FinishRequest, responses(
    (status = 200, body = SignInBody), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn finish(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    Body(request): Body<FinishRequest>,
) -> Result<(SetCookies, Json<SignInBody>)> {
    let admitted = second::finish(&app, &client, &request.into_wish(&app, &headers)?).await?;
    let (cookies, body) = answer(&app, "Signed in.", &admitted);
    Ok((over(&app, &admitted).and(cookies), body))
}

/// Which attempt.
#[derive(ToSchema)]
pub struct AttemptRequest {
    /// From the answer of the first step; the cookie does as well.
    pub(super) attempt: Option<String>,
}

impl FromFields for AttemptRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { attempt: fields.optional_token("attempt") })
    }
}

/// Mails another code; the former one dies, wrong tries stay counted.
#[utoipa::path(post, path = "/api/v1/verify/resend", tag = "accounts", request_body = Option<AttemptRequest>, responses(
    (status = 202, body = Said), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn resend_code(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(request): MaybeBody<AttemptRequest>,
) -> Result<(StatusCode, Json<Said>)> {
    let attempt = named(&app, &headers, request.attempt)?;
    resend::resend(&app, &client, &attempt).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(Said { message: "If there is something to confirm, another code is on its way." }),
    ))
}

/// Begins to set up an authenticator app in a sign-in that needs one; verify confirms it and signs in.
#[utoipa::path(post, path = "/api/v1/verify/enrol", tag = "accounts", request_body = Option<AttemptRequest>, responses(
    (status = 201, description = "Shown once", body = TotpSetup), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn enrol(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    MaybeBody(request): MaybeBody<AttemptRequest>,
) -> Result<(StatusCode, Json<TotpSetup>)> {
    let attempt = named(&app, &headers, request.attempt)?;
    Ok((StatusCode::CREATED, Json(second::enrol(&app, &client, &attempt).await?)))
}
