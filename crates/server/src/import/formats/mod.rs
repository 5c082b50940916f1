//! What the files of other systems look like. Each reads one record and takes from it what has a place here.
mod auth0;
mod firebase;
mod hallpass;
mod keycloak;
mod mongo;
mod supabase;

use super::fields::Fields;
use super::given::Given;
use super::problem::Problem;
use super::records::Layout;
use crate::clock::Timestamp;
pub use firebase::read_parameters;
use hallpass_crypto::password::legacy::Firebase;

type Result<T> = std::result::Result<T, Problem>;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The format of this program, in which `hallpass export` writes.
    Hallpass,
    /// `mongoexport` of a collection of users.
    Mongo,
    /// A Keycloak realm with users.
    Keycloak,
    /// The table `auth.users` of Supabase.
    Supabase,
    /// Users of Auth0.
    Auth0,
    /// `firebase auth:export`.
    Firebase,
}

impl Format {
    /// The name that a digest of the import includes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hallpass => "hallpass",
            Self::Mongo => "mongo",
            Self::Keycloak => "keycloak",
            Self::Supabase => "supabase",
            Self::Auth0 => "auth0",
            Self::Firebase => "firebase",
        }
    }

    /// How its files hold their records.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Keycloak | Self::Firebase => Layout::Document,
            Self::Hallpass | Self::Mongo | Self::Supabase | Self::Auth0 => Layout::Lines,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The first problem.
    pub fn read(self, mut fields: Fields, firebase: Option<&Firebase>, now: Timestamp) -> Result<Given> {
        let fields = &mut fields;
        match self {
            Self::Hallpass => hallpass::read(fields),
            Self::Mongo => mongo::read(fields),
            Self::Keycloak => keycloak::read(fields),
            Self::Supabase => supabase::read(fields, now),
            Self::Auth0 => auth0::read(fields),
            Self::Firebase => firebase::read(fields, firebase),
        }
    }
}
