//! Routes and, apart from them, how their documentation is made: serving needs the routes alone, and the schemas of a whole API cost
//! a start milliseconds and megabytes. Every handler has the same type here: else a start runs, and so keeps in memory, a piece of
//! code beside each of them.
use crate::app::App;
use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use std::pin::Pin;
use utoipa::Path;
use utoipa::openapi::{HttpMethod, OpenApi};

/// The future of an answer, as axum makes it of any handler.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler, whichever it is.
#[derive(Clone, Copy)]
struct Uniform(fn(Request, App) -> Answer);

impl Handler<(), App> for Uniform {
    type Future = Answer;

    fn call(self, request: Request, app: App) -> Answer {
        (self.0)(request, app)
    }
}

/// Routes that can be documented.
#[derive(Default)]
pub struct Routes {
    router: Router<App>,
    documentation: Vec<fn() -> OpenApi>,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler at the path and for the methods that `P`, its `utoipa::path`, names. [`handlers!`] calls this.
    #[must_use]
    pub fn on<P: Path>(self, handler: fn(Request, App) -> Answer) -> Self {
        let methods = P::methods().iter().map(filter).reduce(MethodFilter::or);
        let Some(methods) = methods else { return self };
        Self { router: self.router.route(&P::path(), on(methods, Uniform(handler))), ..self }
    }

    /// Adds how the documentation of routes is made. [`handlers!`] calls this.
    #[must_use]
    pub fn explained(mut self, documentation: fn() -> OpenApi) -> Self {
        self.documentation.push(documentation);
        self
    }

    /// Adds other routes.
    #[must_use]
    pub fn merge(mut self, others: Self) -> Self {
        self.documentation.extend(others.documentation);
        Self { router: self.router.merge(others.router), ..self }
    }

    /// The routes.
    pub fn into_router(self) -> Router<App> {
        self.router
    }

    /// Makes the documentation of all routes, which takes milliseconds, beside what `document` says already.
    pub fn document(&self, mut document: OpenApi) -> OpenApi {
        for documentation in &self.documentation {
            document.merge(documentation());
        }
        document
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
    }
}

/// [`Routes`] of handlers that have a `utoipa::path`.
macro_rules! handlers {
    ($($handler:ident),+ $(,)?) => {
        pastey::paste! {
            $crate::web::documented::Routes::new()
                $(.on::<[<__path_ $handler>]>(|request, app| axum::handler::Handler::call($handler, request, app)))+
                .explained(|| {
                    #[derive(utoipa::OpenApi)]
                    #[openapi(paths($($handler),+))]
                    struct Documentation;
                    <Documentation as utoipa::OpenApi>::openapi()
                })
        }
    };
}
pub(crate) use handlers;
