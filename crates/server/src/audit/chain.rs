//! The chains and their links: which event goes where; what is hashed, in which order.
use super::StoredEvent;
use hallpass_crypto::digest::sha256;

/// The chain of what is about nobody.
pub(super) const MAIN: &str = "main";
/// The chains of what is about somebody. Their number is a power of two and never changes: `docs/decisions/audit.md`.
const OTHERS: [&str; 64] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "0a", "0b", "0c", "0d", "0e", "0f", "10",
    "11", "12", "13", "14", "15", "16", "17", "18", "19", "1a", "1b", "1c", "1d", "1e", "1f", "20", "21",
    "22", "23", "24", "25", "26", "27", "28", "29", "2a", "2b", "2c", "2d", "2e", "2f", "30", "31", "32",
    "33", "34", "35", "36", "37", "38", "39", "3a", "3b", "3c", "3d", "3e", "3f",
];

/// Every chain.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    std::iter::once(MAIN).chain(OTHERS)
}

/// The chain of a name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    all().find(|chain| *chain == name)
}

/// The chain of an event: that of its user, or else of its identifier, so that what people do is spread over all
/// of them, a flood against unknown addresses too.
pub(super) fn of(user: Option<&str>, identifier_hash: Option<&str>) -> &'static str {
    let Some(subject) = user.or(identifier_hash) else { return MAIN };
    let [first, ..] = sha256(subject.as_bytes());
    OTHERS[usize::from(first) % OTHERS.len()]
}

/// Hash of an event and of the one before it. Lengths stand before values, so that no two events make the same bytes.
pub(super) fn hash(previous: Option<&[u8]>, event: &StoredEvent) -> [u8; 32] {
    let at = event.at.micros().to_be_bytes();
    let seq = event.seq.to_be_bytes();
    let id = event.id.to_string();
    let fields: [Option<&[u8]>; 12] = [
        Some(b"hallpass/audit/v1"),
        previous,
        Some(event.chain.as_bytes()),
        Some(&seq),
        Some(id.as_bytes()),
        Some(&at),
        Some(event.kind.as_bytes()),
        Some(event.result.as_bytes()),
        event.actor.as_deref().map(str::as_bytes),
        event.user.as_deref().map(str::as_bytes),
        event.session.as_deref().map(str::as_bytes),
        event.personal_hash.as_deref(),
    ];
    sha256(&framed(&fields))
}

/// Salted hash of what is personal in an event.
pub(super) fn personal_hash(event: &StoredEvent) -> [u8; 32] {
    let fields: [Option<&[u8]>; 6] = [
        event.salt.as_deref(),
        event.identifier_hash.as_deref().map(str::as_bytes),
        event.ip.as_deref().map(str::as_bytes),
        event.agent.as_deref().map(str::as_bytes),
        event.request.as_deref().map(str::as_bytes),
        event.detail.as_deref().map(str::as_bytes),
    ];
    sha256(&framed(&fields))
}

/// What the MAC of a chain's end covers.
pub(super) fn head_message(chain: &str, seq: i64, head: &[u8]) -> Vec<u8> {
    framed(&[Some(chain.as_bytes()), Some(&seq.to_be_bytes()), Some(head)])
}

/// Fields with their lengths; an absent one differs from an empty one.
pub(super) fn framed(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    for field in fields {
        let length = field.map_or(u64::MAX, |value| value.len() as u64);
        bytes.extend(length.to_be_bytes());
        bytes.extend(field.unwrap_or_default());
    }
    bytes
}
