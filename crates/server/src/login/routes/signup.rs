//! Register, verify the mailbox, resend.
use super::signin::{SignInBody, answer};
use crate::app::App;
use crate::cookies::{Cookie, SetCookies};
use crate::error::{Code, Error, Problem, Result};
use crate::hashing::Password;
use crate::login::mailbox::{Proof, SameClient, Verified, verify_email};
use crate::login::signup::{self, Registered, SignUp};
use crate::names::{Email, Username};
use crate::roles;
use crate::sessions::{Delivery, Said};
use crate::users::{User, UserView};
use crate::web::client::KnownDevice;
use crate::web::{Body, Client, Fields, FromFields, OwnOrigin, Routes, handlers};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hallpass_crypto::secret::Opaque;
use serde::Serialize;
use utoipa::ToSchema;

/// The routes of this file.
pub(super) fn routes() -> Routes {
    Routes::new().merge(handlers!(register)).merge(handlers!(verify)).merge(handlers!(resend))
}

/// A wish for an account.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// Address of the mailbox that will be proven.
    #[schema(value_type = String)]
    email: Email,
    /// See `passwords` of the settings for the rules.
    #[schema(value_type = String)]
    password: Password,
    /// Public name for signing in.
    #[schema(value_type = Option<String>)]
    username: Option<Username>,
    /// Display name.
    name: Option<String>,
    /// In `immediate` mode.
    #[schema(value_type = Option<Delivery>)]
    token_delivery: Delivery,
    /// In `immediate` mode.
    device_name: Option<String>,
}

impl FromFields for RegisterRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Self::with_default(fields, Delivery::Cookie)
    }
}

impl RegisterRequest {
    /// Reads, where tokens travel in this way unless the client says otherwise.
    pub fn with_default(fields: &mut Fields, delivery: Delivery) -> Option<Self> {
        let email = fields.email("email");
        let password = fields.password("password");
        let username = fields.optional_username("username");
        let name = fields.optional_text("name", 100);
        let token_delivery = Delivery::from_fields_or(fields, delivery);
        let device_name = fields.optional_text("deviceName", 100);
        Some(Self {
            email: email?,
            password: password?,
            username,
            name,
            token_delivery: token_delivery?,
            device_name,
        })
    }

    /// What is asked for.
    pub fn into_wish(self) -> SignUp {
        SignUp {
            email: self.email,
            password: self.password,
            username: self.username,
            name: self.name,
            delivery: self.token_delivery,
            device_name: self.device_name,
        }
    }
}

/// Answer of a registration whose mailbox has to be proven.
#[derive(Serialize, ToSchema)]
pub struct RegisteredBody {
    /// What to do.
    message: &'static str,
    /// Proves at verification that it is the same client; also in a cookie.
    registration: String,
}

/// Asks for an account.
#[utoipa::path(post, path = "/api/v1/register", tag = "accounts", params(KnownDevice), request_body = RegisterRequest, responses(
    (status = 202, description = "A mail is on its way; known and unknown addresses look alike", body = RegisteredBody),
    (status = 201, description = "registration.mode = \"immediate\": signed in, or what is missing", body = SignInBody),
    (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn register(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    Body(request): Body<RegisterRequest>,
) -> Result<Response> {
    match signup::register(&app, &client, request.into_wish()).await? {
        Registered::Pending(secret) => {
            let registration = secret.expose();
            let message = "Look into your mailbox: a mail tells how to go on.";
            let body = Json(RegisteredBody { message, registration });
            Ok((StatusCode::ACCEPTED, registration_cookie(&app, &secret), body).into_response())
        }
        Registered::Admitted(admitted, secret) => {
            let message = "Welcome. A mail asks you to confirm your address.";
            let answer = answer(&app, message, &admitted);
            Ok((StatusCode::CREATED, registration_cookie(&app, &secret), answer).into_response())
        }
    }
}

/// The cookie that shows at the proof of the mailbox that it is the client that registered.
pub fn registration_cookie(app: &App, secret: &Opaque) -> SetCookies {
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.set(Cookie::Registration, &secret.expose(), app.config.codes.verify_link_ttl));
    cookies
}

/// Proof of a mailbox.
#[derive(ToSchema)]
pub struct VerifyRequest {
    /// From the mailed link; or else `email` and `code`.
    token: Option<String>,
    /// Address that the code was mailed to.
    #[schema(value_type = Option<String>)]
    email: Option<Email>,
    /// Six digits.
    code: Option<String>,
    /// From the answer of register; the cookie does as well.
    registration: Option<String>,
    /// The password chosen at registration, repeated; for another client than the one that registered.
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
}

impl FromFields for VerifyRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let request = Self {
            token: fields.optional_token("token"),
            email: fields.optional_email("email"),
            code: fields.optional_code("code"),
            registration: fields.optional_token("registration"),
            password: fields.optional_password("password"),
        };
        if request.token.is_none() && !fields.has_problems() {
            if request.email.is_none() && request.code.is_none() {
                fields.problem("token", "required", "Send token, or email and code.");
            } else if request.email.is_none() {
                fields.problem("email", "required", "Send the address that the code was mailed to.");
            } else if request.code.is_none() {
                fields.problem("code", "required", "Send the code.");
            }
        }
        Some(request)
    }
}

/// Answer of a proof.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBody {
    /// What happened.
    message: &'static str,
    /// `password_required` when the owner of the mailbox has to choose a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// For `POST /api/v1/password/reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password_token: Option<String>,
    /// The account.
    user: UserView,
}

/// Proves a mailbox by link token or by code.
#[utoipa::path(post, path = "/api/v1/verify-email", tag = "accounts", request_body = VerifyRequest, responses(
    (status = 200, body = VerifiedBody), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn verify(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    Body(request): Body<VerifyRequest>,
) -> Result<(SetCookies, Json<VerifiedBody>)> {
    let cookie = app.cookies.read(&headers, Cookie::Registration)?.map(str::to_owned);
    let same = SameClient { registration: request.registration.or(cookie), password: request.password };
    let proof = match (request.token, request.email, request.code) {
        (Some(token), _, _) => Proof::Link(token),
        (None, Some(email), Some(code)) => Proof::Code(email, code),
        _ => return Err(Error::new(Code::InvalidToken)),
    };
    let verified = verify_email(&app, &client, proof, same).await?;
    let mut cookies = SetCookies::default();
    cookies.add(app.cookies.clear(Cookie::Registration));
    let body = match verified {
        Verified::Done(user) => VerifiedBody {
            message: "The address is confirmed.",
            status: None,
            password_token: None,
            user: view(&app, &user).await?,
        },
        Verified::PasswordRequired(user, token) => VerifiedBody {
            message: "The address is confirmed. Choose a password now.",
            status: Some("password_required"),
            password_token: Some(token.expose()),
            user: view(&app, &user).await?,
        },
    };
    Ok((cookies, Json(body)))
}

/// The user as its owner sees it.
async fn view(app: &App, user: &User) -> Result<UserView> {
    Ok(user.view(&roles::grants(app, &app.db, &user.roles).await?))
}

/// Whose mail got lost.
#[derive(ToSchema)]
pub struct ResendRequest {
    /// Address.
    #[schema(value_type = String)]
    email: Email,
    /// From the answer of register; the cookie does as well.
    registration: Option<String>,
}

impl FromFields for ResendRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let email = fields.email("email");
        let registration = fields.optional_token("registration");
        Some(Self { email: email?, registration })
    }
}

/// Sends link and code once more, if there is something to confirm. The answer does not tell.
#[utoipa::path(post, path = "/api/v1/verify-email/resend", tag = "accounts", request_body = ResendRequest, responses(
    (status = 202, body = Said), (status = 400, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
    (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn resend(
    State(app): State<App>,
    client: Client,
    _: OwnOrigin,
    headers: HeaderMap,
    Body(request): Body<ResendRequest>,
) -> Result<(StatusCode, Json<Said>)> {
    let cookie = app.cookies.read(&headers, Cookie::Registration)?.map(str::to_owned);
    let registration = request.registration.or(cookie);
    signup::resend(&app, &client, &request.email, registration.as_deref()).await?;
    let message = "If there is something to confirm, a mail is on its way.";
    Ok((StatusCode::ACCEPTED, Json(Said { message })))
}
