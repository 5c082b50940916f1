//! How long administrators wait for a search among very many users, on either engine: `hallpass-bench search`, on PostgreSQL by
//! `scripts/with-servers`. `BENCH_USERS` (1000000) says among how many.
use crate::Fallible;
use crate::http::{Connection, field, request};
use crate::machine;
use crate::postgres;
use crate::report::{Report, Row, Target, grouped};
use crate::seed;
use crate::server::Server;
use rusqlite::Connection as Sqlite;
use std::path::Path;
use std::time::Instant;

/// How long a search may take, in milliseconds.
const MOST: f64 = 50.0;
/// Calls of each search.
const CALLS: usize = 200;

/// What is looked for. Half of all have an address at one domain, half have one role, 1 in 1,000 another one, 1 in 10,000 accounts
/// is closed, 1 in 5 addresses is not proven.
const SEARCHES: [(&str, &str); 15] = [
    ("a whole address", "q=first7.last7@half.example"),
    ("a username", "q=user123456"),
    ("a rare last name", "q=last4242x"),
    ("first and last name", "q=first7+last7"),
    ("one letter, which everybody has", "q=f"),
    ("half of all, by the domain", "q=half.example"),
    ("nobody", "q=nobody@nowhere.example"),
    ("everybody", "limit=100"),
    ("closed accounts", "status=disabled"),
    ("addresses that are not proven", "verified=false"),
    ("a role that half of all have", "role=editor"),
    ("a role of 1,000, in words that all have", "q=first&role=support"),
    ("closed, with a role, not proven, in words", "q=first&role=editor&status=disabled&verified=false"),
    ("two filters that exclude each other", "q=half.example&role=editor&verified=false"),
    ("words that exclude each other", "q=half.example+other.example"),
];

/// What the engines say differently.
struct Dialect {
    /// Where the numbers `n` of the users come from.
    numbers: String,
    /// Text as UTF-8.
    bytes: fn(&str) -> String,
    /// Bytes from hexadecimal digits.
    hex: fn(&str) -> String,
    /// Twelve digits.
    digits: fn(&str) -> String,
}

/// Users, their terms and roles, and an administrator with the seeded session 0.
fn script(dialect: &Dialect) -> String {
    let Dialect { numbers, bytes, hex, digits } = dialect;
    let (now, end) = (seed::now_micros(), seed::now_micros() + seed::WEEK);
    // Ids in no order of what people are found by.
    let id = format!("'01900000-0000-7000-8000-' || {}", digits("(n * 7777777 % 1000000000000)"));
    let first = "'first' || (n % 997)";
    let last = "'last' || (n % 30011) || 'x'";
    let email = "'first' || (n % 997) || '.last' || n || case when n % 2 = 0 then '@half.example' else '@other.example' end";
    let name = format!("{first} || ' ' || {last}");
    let term = |what: &str| {
        format!("insert into user_terms (term, user_id) select {}, {id} from {numbers};", bytes(what))
    };
    let hash = data_encoding::HEXLOWER.encode(&seed::token(0, 0).hash());
    let hash = hex(&hash);
    let columns = "id, user_id, client_id, generation, current_hash, rotated_at, rotated_network, rotated_agent, delivery, amr,
         auth_time, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at";
    format!(
        "insert into users (id, email, email_normalised, username, username_normalised, name, email_verified_at, disabled_at, roles,
           created_at, updated_at, searched_as)
         select {id}, {email}, {email}, 'user' || n, 'user' || n, {name}, case when n % 5 = 0 then null else {now} end,
           case when n % 10000 = 5000 then {now} else null end,
           case when n = 1 then 'admin user' when n % 1000 = 0 then 'editor support user' when n % 2 = 0 then 'editor user' else 'user' end,
           {now}, {now}, {email} || ' ' || 'user' || n || ' ' || {name} from {numbers};
         {domain} {address} {username} {first} {last}
         insert into user_roles (role, user_id) select 'editor', {id} from {numbers} where n % 2 = 0;
         insert into user_roles (role, user_id) select 'support', {id} from {numbers} where n % 1000 = 0;
         insert into user_roles (role, user_id) select 'admin', {id} from {numbers} where n = 1;
         insert into roles (name, permissions, created_at, updated_at) values ('editor', 'articles:write', {now}, {now});
         insert into sessions ({columns})
         select '{session}', {id}, 'first-party', 0, {hash}, {now}, '127.0.0.1', 'bench', 'body', 'pwd', {now}, '127.0.0.1', 'bench',
           {now}, {now}, {end}, {end} from {numbers} where n = 1;",
        domain = term("case when n % 2 = 0 then 'half.example' else 'other.example' end"),
        address = term(email),
        username = term("'user' || n"),
        first = term(first),
        last = term(last),
        session = seed::session_id(0),
    )
}

fn seed_sqlite(database: &Path, users: i64) -> Fallible<()> {
    let sqlite = Sqlite::open(database)?;
    sqlite.execute_batch(
        "pragma synchronous = off; pragma cache_size = -262144; create temp table numbers (n integer);",
    )?;
    let numbers = format!(
        "insert into numbers with recursive counted (n) as (select 1 union all select n + 1 from counted where n < {users})
         select n from counted"
    );
    sqlite.execute_batch(&numbers)?;
    let dialect = Dialect {
        numbers: "numbers".into(),
        bytes: |text| format!("cast({text} as blob)"),
        hex: |digits| format!("x'{digits}'"),
        digits: |number| format!("printf('%012d', {number})"),
    };
    sqlite.execute_batch(&format!("begin; {} commit; pragma wal_checkpoint(truncate);", script(&dialect)))?;
    Ok(())
}

fn seed_postgres(url: &str, users: i64) -> Fallible<()> {
    let dialect = Dialect {
        numbers: format!("generate_series(1::bigint, {users}) as n"),
        bytes: |text| format!("convert_to({text}, 'UTF8')"),
        hex: |digits| format!("'\\x{digits}'::bytea"),
        digits: |number| format!("lpad({number}::text, 12, '0')"),
    };
    let script = script(&dialect);
    postgres::program("psql", &[url, "-v", "ON_ERROR_STOP=1", "-qc", &script, "-c", "vacuum analyze"])
        .map(drop)
}

/// Measures on SQLite, and on PostgreSQL if there is a server.
pub async fn everything(users: i64) -> Fallible<Report> {
    let mut report = Report { machine: machine::describe(), ..Report::default() };
    let folder = tempfile::tempdir()?;
    Server::hallpass(folder.path()).await?.stop().await?;
    seed_sqlite(&folder.path().join("hallpass.db"), users)?;
    let server = Server::hallpass(folder.path()).await?;
    searches(&mut report, "SQLite", &server, users).await?;
    server.stop().await?;
    if let Ok(address) = std::env::var("TEST_POSTGRES") {
        let url = postgres::migrated(&address, "search")?;
        seed_postgres(&url, users)?;
        let folder = tempfile::tempdir()?;
        let server = Server::hallpass_with(folder.path(), &postgres::settings(&url)).await?;
        searches(&mut report, "PostgreSQL", &server, users).await?;
        server.stop().await?;
    }
    Ok(report)
}

async fn searches(report: &mut Report, engine: &str, server: &Server, users: i64) -> Fallible<()> {
    let mut connection = Connection::open(server.address).await?;
    let presented = seed::token(0, 0).expose(&seed::keys()?);
    let body = format!("{{\"refreshToken\":\"{presented}\"}}");
    let answer = connection.send(&request("POST", "/api/v1/refresh", None, &body)).await?;
    let token = field(answer.good()?, "accessToken")?.to_owned();
    let mut slowest: f64 = 0.0;
    for (what, query) in SEARCHES {
        let path = format!("/api/v1/admin/users?{query}");
        let (mut times, mut after) = (Vec::with_capacity(CALLS), String::new());
        for _ in 0..CALLS {
            let begun = Instant::now();
            let page = connection.get(&format!("{path}{after}"), Some(&token)).await?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
            // The following pages too, and from the first one again behind the last.
            after = page["next"].as_str().map(|next| format!("&after={next}")).unwrap_or_default();
        }
        times.sort_by(f64::total_cmp);
        let (p50, p99) = (times[CALLS / 2], times[CALLS * 99 / 100]);
        slowest = slowest.max(p99);
        let figure = format!("{:.1} ms", times[CALLS - 1]);
        report.rows.push(Row {
            what: format!("{engine}: {what}"),
            figure: format!("slowest {figure}"),
            micros: None,
            latency: Some((p50, p99)),
        });
    }
    report.targets.push(Target {
        what: if engine == "SQLite" {
            "search, SQLite, slowest p99"
        } else {
            "search, PostgreSQL, slowest p99"
        },
        asked: "<= 50 ms",
        measured: format!("{slowest:.1} ms among {} users", grouped(f64::from(i32::try_from(users)?))),
        reached: slowest <= MOST,
    });
    Ok(())
}
