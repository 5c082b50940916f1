//! The verifier as a tower layer.
use crate::{Verifier, VerifyError};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Lets only callers with a good token through; made by [`Verifier::layer`].
#[derive(Clone, Debug)]
pub struct VerifierLayer {
    verifier: Verifier,
}

impl VerifierLayer {
    pub(crate) const fn new(verifier: Verifier) -> Self {
        Self { verifier }
    }
}

impl<S> Layer<S> for VerifierLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, verifier: self.verifier.clone() }
    }
}

/// A service behind a [`VerifierLayer`].
#[derive(Clone, Debug)]
pub struct Guard<S> {
    inner: S,
    verifier: Verifier,
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
        let verifier = self.verifier.clone();
        Box::pin(async move {
            match verifier.verify_headers(request.headers()).await {
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
