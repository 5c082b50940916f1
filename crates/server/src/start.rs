//! From settings to an [`App`]: folder, key, database, migrations, signing keys.
use crate::app::{App, Parts};
use crate::audit;
use crate::clock::Clock;
use crate::config::{Config, check_production};
use crate::db::{Db, Standing, sqlite_path};
use crate::geoip::Places;
use crate::hashing::Hashing;
use crate::keys;
use crate::mail;
use crate::random::Random;
use crate::secret_key;
use crate::templates::Templates;
use crate::webhooks;
use std::sync::Arc;

/// Why a start failed, for the operator: each line says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct StartError(pub Vec<String>);

impl StartError {
    fn one(problem: impl std::fmt::Display) -> Self {
        Self(vec![problem.to_string()])
    }
}

/// Refuses settings that are not fit for production, unless this is development.
///
/// # Errors
/// Each of them, with what to do.
pub fn refuse_insecure(config: &Config) -> Result<(), StartError> {
    let refused = check_production(config);
    if refused.is_empty() {
        return Ok(());
    }
    Err(StartError(refused.iter().map(ToString::to_string).collect()))
}

/// Builds the application; `migrate` also brings the schema up to date.
///
/// # Errors
/// Sentences for the operator.
pub async fn start(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    migrate: bool,
) -> Result<App, StartError> {
    refuse_insecure(&config)?;
    if config.embedded() {
        secret_key::make_data_dir(&config).map_err(StartError::one)?;
    }
    if config.embedded() && !config.development() {
        secret_key::require_private_data(&config).map_err(StartError::one)?;
    }
    let key_is_new = lacks_key(&config);
    let places = Places::open(config.geoip.database.as_deref());
    let places = places.map_err(|problem| StartError::one(format!("geoip.database: {problem}")))?;
    let app = open(config, clock, random, migrate, places).await?;
    refuse_pending(&app).await?;
    check_key(&app, key_is_new).await?;
    keys::maintain(&app).await.map_err(StartError::one)?;
    webhooks::refresh(&app).await.map_err(StartError::one)?;
    Ok(app)
}

/// Builds the application for a command on a database that exists. What production refuses concerns the server only:
/// an account must be closed also where, say, the mail settings are missing.
///
/// # Errors
/// Sentences for the operator.
pub async fn open_existing(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<App, StartError> {
    let file = config
        .embedded()
        .then(|| sqlite_path(&config.database_url()))
        .transpose()
        .map_err(StartError::one)?;
    if let Some(path) = file.filter(|path| !path.exists()) {
        // Made silently, a mistyped folder would look like a server that has lost everybody.
        return Err(StartError::one(format!(
            "there is no database at {}; name its folder with --data-dir or HALLPASS_DATA_DIR, or make a new one \
             with `hallpass migrate`",
            path.display()
        )));
    }
    let key_is_new = lacks_key(&config);
    // Commands name no places.
    let app = open(config, clock, random, false, Places::default()).await?;
    refuse_pending(&app).await?;
    check_key(&app, key_is_new).await?;
    // What a command does is told as well.
    webhooks::refresh(&app).await.map_err(StartError::one)?;
    Ok(app)
}

async fn refuse_pending(app: &App) -> Result<(), StartError> {
    if app.db.pending_migrations().await.map_err(StartError::one)?.is_empty() {
        return Ok(());
    }
    Err(StartError::one("the database is not up to date; run `hallpass migrate` first"))
}

/// Neither what has moved elsewhere nor an unfinished copy is worked on.
///
/// # Errors
/// Where to go instead.
pub async fn refuse_moved(db: &Db) -> Result<(), StartError> {
    match db.standing().await.map_err(StartError::one)? {
        Standing::Whole => Ok(()),
        Standing::Moved(moved) => Err(StartError::one(moved.sentence())),
        Standing::Unfinished => Err(StartError::one(format!(
            "the move into {} is not finished: run `hallpass move-to-postgres` again, with the settings of the server that \
             is moved, or set HALLPASS_DATABASE_URL back to its database",
            db.shown()
        ))),
    }
}

/// Whether opening will make a secret key.
fn lacks_key(config: &Config) -> bool {
    config.keys.secret_key.is_none() && !config.secret_key_file().exists()
}

async fn check_key(app: &App, is_new: bool) -> Result<(), StartError> {
    let Err(problem) = keys::check_secret_key(app).await.map_err(StartError::one)? else {
        return audit::sign_ends_anew(app).await.map_err(StartError::one);
    };
    if !is_new {
        return Err(StartError::one(problem));
    }
    // Left there, the new key would hide that the right one is missing.
    let file = app.config.secret_key_file();
    let _ = std::fs::remove_file(&file);
    Err(StartError::one(format!(
        "keys.secret_key: {} is missing, and the database was made with it; restore it from where it is kept",
        file.display()
    )))
}

async fn open(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    migrate: bool,
    places: Places,
) -> Result<App, StartError> {
    if config.embedded() {
        secret_key::make_data_dir(&config).map_err(StartError::one)?;
    }
    let templates = Templates::load(config.mail.templates_dir.as_deref());
    let templates = templates.map_err(|problem| StartError::one(format!("mail.templates_dir: {problem}")))?;
    mail::check(&config, &templates).map_err(StartError::one)?;
    let redis = config.open_redis().map_err(StartError::one)?;
    let db = config.open_database(Arc::clone(&clock), redis.clone()).map_err(StartError::one)?;
    refuse_moved(&db).await?;
    if migrate {
        db.migrate().await.map_err(StartError::one)?;
    }
    let ring = secret_key::ring(&config, &*random).map_err(StartError::one)?;
    let hashing = Hashing::start(&config)
        .map_err(|error| StartError::one(format!("cannot start the hashing threads: {error}")))?;
    Ok(App::new(Parts { config, db, clock, random, ring, hashing, templates, redis, places }))
}
