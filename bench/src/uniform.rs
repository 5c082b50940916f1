//! Whether time tells known from unknown: 200 samples of each class, taken in turn, compared by Kolmogorov-Smirnov.
use crate::Fallible;
use crate::http::{Connection, request};
use crate::ks;
use crate::scenarios::{self, PASSWORD, login_request};
use crate::server::Server;
use serde_json::json;
use std::rc::Rc;
use std::time::Instant;

/// Samples of each class.
const SAMPLES: usize = 200;

/// The comparison of two classes.
pub struct Comparison {
    /// What was compared.
    pub what: &'static str,
    /// Largest distance of the distributions.
    pub distance: f64,
    /// Probability of such a distance by chance.
    pub p: f64,
    /// Difference of the medians in milliseconds.
    pub median: f64,
}

impl Comparison {
    /// p above 0.01 and medians within 2 ms.
    pub fn holds(&self) -> bool {
        self.p > 0.01 && self.median.abs() < 2.0
    }
}

/// Compares every pair of classes that must not be told apart.
pub async fn compare(server: &Server) -> Fallible<Vec<Comparison>> {
    let known = "known@example.com";
    scenarios::account(server, known).await?;
    // Nobody has asked for anything under this one yet, as under the stranger's.
    scenarios::account(server, "other@example.com").await?;
    let post = |path: &str, email: &str| -> Rc<[u8]> {
        let body = json!({ "email": email, "password": PASSWORD });
        request("POST", path, None, &body.to_string()).into()
    };
    let wrong = |email: &str| login_request(email, "wrong-wrong-wrong");
    let pair = |path: &'static str| (post(path, known), post(path, "nobody@example.com"));
    let resend = "/api/v1/verify-email/resend";
    let cases = [
        ("sign-in: wrong password, unknown address", (wrong(known), wrong("nobody@example.com"))),
        ("forgot password: known, unknown address", pair("/api/v1/password/forgot")),
        ("register: known, unknown address", pair("/api/v1/register")),
        (
            "resend verification: known, unknown address",
            (post(resend, "other@example.com"), post(resend, "stranger@example.com")),
        ),
    ];
    let mut comparisons = Vec::new();
    for (what, (left, right)) in cases {
        comparisons.push(compare_pair(server, what, &left, &right).await?);
    }
    Ok(comparisons)
}

async fn compare_pair(
    server: &Server,
    what: &'static str,
    left: &[u8],
    right: &[u8],
) -> Fallible<Comparison> {
    let mut connection = Connection::open(server.address).await?;
    for request in [left, right] {
        connection.send(request).await?;
    }
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for number in 0..SAMPLES {
        // In turn, and which goes first changes, so that a drift hits both alike.
        let first_left = number % 2 == 0;
        for is_left in [first_left, !first_left] {
            let started = Instant::now();
            connection.send(if is_left { left } else { right }).await?;
            let millis = started.elapsed().as_secs_f64() * 1000.0;
            if is_left { lefts.push(millis) } else { rights.push(millis) }
        }
    }
    let (distance, p) = ks::two_samples(&lefts, &rights);
    Ok(Comparison { what, distance, p, median: ks::median(&lefts) - ks::median(&rights) })
}
