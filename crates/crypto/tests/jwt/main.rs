//! Tokens and keys: what is accepted, at which check the rest fails, and what another implementation says.

mod claims;
mod form;
mod interop;
mod keys;
mod tokens;
