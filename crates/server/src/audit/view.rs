//! An event as operators and administrators see it.
use super::StoredEvent;
use crate::geoip::{Place, Places};
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An event of the audit log, with its place in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// The chain that it is a link of.
    chain: String,
    /// Its number there.
    number: i64,
    /// Id; in order of time.
    id: String,
    /// When, RFC 3339.
    at: String,
    /// What happened.
    kind: String,
    /// `success` or `failure`.
    result: String,
    /// Who caused it in principle: `person`, `operator` or `system`.
    actor: Option<String>,
    /// The user it was about.
    user_id: Option<String>,
    /// The session it was about.
    session_id: Option<String>,
    /// The request that caused it.
    request_id: Option<String>,
    /// Keyed hash of an identifier that belongs to nobody.
    identifier_hash: Option<String>,
    /// From which address.
    ip: Option<String>,
    /// Where that is, if the server can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// With which program.
    user_agent: Option<String>,
    /// Further facts; `by` is who did it, if not the user.
    #[schema(value_type = Option<Object>)]
    detail: Option<Value>,
    /// Hash of the event and of the one before it in its chain, hexadecimal.
    hash: Option<String>,
}

impl AuditEvent {
    /// What is stored, with the place of the address.
    pub fn new(event: &StoredEvent, places: &Places) -> Self {
        Self {
            chain: event.chain.clone(),
            number: event.seq,
            id: event.id.to_string(),
            at: event.at.rfc3339(),
            kind: event.kind.clone(),
            result: event.result.clone(),
            actor: event.actor.clone(),
            user_id: event.user.clone(),
            session_id: event.session.clone(),
            request_id: event.request.clone(),
            identifier_hash: event.identifier_hash.clone(),
            ip: event.ip.clone(),
            place: event.ip.as_deref().and_then(|ip| places.of_text(ip)),
            user_agent: event.agent.clone(),
            detail: event.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            hash: event.hash.as_deref().map(|hash| HEXLOWER.encode(hash)),
        }
    }
}
