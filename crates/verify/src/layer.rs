//! The verifier as a tower layer.
use crate::{Caller, Verifier, VerifyError};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Lets only callers with a good token through; made by [`Verifier::layer`].
#[derive(Clone, Debug)]
pub struct VerifierLayer {
    verifier: Verifier,
    permissions: Arc<[String]>,
}

impl VerifierLayer {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self { verifier, permissions: Arc::default() }
    }

    /// The same for callers who have all of these permissions, such as `orders:read`; see [`Verifier::allows`].
    #[must_use]
    pub fn requiring(self, permissions: &[&str]) -> Self {
        let added = permissions.iter().map(|one| (*one).to_owned());
        Self { permissions: self.permissions.iter().cloned().chain(added).collect(), ..self }
    }
}

impl<S> Layer<S> for VerifierLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, verifier: self.verifier.clone(), permissions: Arc::clone(&self.permissions) }
    }
}

/// A service behind a [`VerifierLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    verifier: Verifier,
    permissions: Arc<[String]>,
}

/// The caller of a request, with every permission that is needed.
async fn admitted(
    verifier: &Verifier,
    headers: &HeaderMap,
    permissions: &[String],
) -> Result<Caller, VerifyError> {
    let caller = verifier.verify_headers(headers).await?;
    let permissions: Vec<&str> = permissions.iter().map(String::as_str).collect();
    verifier.require_permissions(&caller, &permissions).await?;
    Ok(caller)
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was polled ready goes with the request.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (verifier, permissions) = (self.verifier.clone(), Arc::clone(&self.permissions));
        Box::pin(async move {
            match admitted(&verifier, request.headers(), &permissions).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(error) => Ok(refusal(&error)),
            }
        })
    }
}

/// Status and challenge, without a body.
pub(crate) fn refusal<R: Default>(error: &VerifyError) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match error.challenge().and_then(|challenge| HeaderValue::from_str(&challenge).ok()) {
        Some(challenge) => drop(headers.insert(WWW_AUTHENTICATE, challenge)),
        None => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
    }
    response
}
