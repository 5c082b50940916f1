//! Refreshes that arrive while others are under way: committed together, answered each for itself.
use super::ANN;
use crate::support::{Client, TestApp, database as backend};
use hallpass::db::Statements;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::NoTls;

const PEOPLE: usize = 40;

/// A server on which two refreshes are under way at the same time, and more only together.
async fn server() -> TestApp {
    server_with(8, true).await
}

async fn server_with(pool_size: u32, prepared: bool) -> TestApp {
    backend::needed();
    TestApp::start_with(|config| {
        config.database.pool_size = pool_size;
        config.database.prepared_statements = prepared;
    })
    .await
}

async fn sessions(server: &TestApp, count: usize) -> Vec<Client> {
    let mut clients = vec![server.signed_in(ANN).await];
    while clients.len() < count {
        clients.push(server.sign_in(ANN).await);
    }
    clients
}

/// Somebody else at the same database.
async fn beside(server: &TestApp) -> tokio_postgres::Client {
    let url = server.app.config.database.url.as_ref().unwrap().expose().to_owned();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("set search_path to hallpass").await.unwrap();
    client
}

async fn session_id(client: &mut Client) -> String {
    client.get("/api/v1/me").await.json["session"]["id"].as_str().unwrap().to_owned()
}

/// The statuses of a refresh by each at the same time.
async fn all_at_once(clients: Vec<Client>) -> Vec<(u16, Client)> {
    let calls: Vec<_> = clients
        .into_iter()
        .map(|mut client| tokio::spawn(async move { (client.refresh().await.status, client) }))
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_at_the_same_moment_share_commits_and_each_gets_its_own_successor() {
    for (pool_size, prepared) in [(8, true), (8, false), (1, true)] {
        let server = server_with(pool_size, prepared).await;
        let mut clients = sessions(&server, PEOPLE).await;
        for _ in 0..3 {
            let answers = all_at_once(clients).await;
            assert!(answers.iter().all(|(status, _)| *status == 200));
            clients = answers.into_iter().map(|(_, client)| client).collect();
        }
        let tokens: BTreeSet<_> =
            clients.iter().map(|client| client.refresh_token.clone().unwrap()).collect();
        assert_eq!(tokens.len(), PEOPLE);
        for client in &mut clients {
            assert_eq!(client.get("/api/v1/me").await.status, 200);
        }
        let sql = "select count(distinct xmin::text) from sessions where generation = 3";
        let commits = (&mut &server.app.db).query_opt(sql, &[]).await.unwrap().unwrap().int().unwrap();
        assert!((1..20).contains(&commits), "{commits} commits for {PEOPLE} refreshes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_that_somebody_has_locked_keeps_only_itself_waiting() {
    let server = server().await;
    let mut clients = sessions(&server, PEOPLE).await;
    let mut locked: Vec<Client> = clients.drain(..3).collect();
    let (other, observer) = (beside(&server).await, beside(&server).await);
    other.batch_execute("begin").await.unwrap();
    for client in &mut locked {
        let id = session_id(client).await;
        assert_eq!(
            other.execute("update sessions set device_name = 'held' where id = $1", &[&id]).await.unwrap(),
            1
        );
    }
    let waiting: Vec<_> = locked
        .into_iter()
        .map(|mut client| tokio::spawn(async move { (client.refresh().await.status, client) }))
        .collect();
    let sql = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    let two_wait = async { while observer.query(sql, &[]).await.unwrap().len() < 2 {} };
    tokio::time::timeout(Duration::from_secs(10), two_wait).await.expect("they wait for the lock");
    let answers =
        tokio::time::timeout(Duration::from_secs(3), all_at_once(clients)).await.expect("nobody waits");
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert!(waiting.iter().all(|call| !call.is_finished()), "they do wait");
    other.batch_execute("commit").await.unwrap();
    for call in waiting {
        let (status, mut client) = call.await.unwrap();
        assert_eq!(status, 200);
        assert_eq!(client.get("/api/v1/me").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_takes_nobody_elses_with_it() {
    let server = server().await;
    let mut clients = sessions(&server, PEOPLE).await;
    let broken = session_id(&mut clients[7]).await;
    let other = beside(&server).await;
    let sql = format!(
        "create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
         create trigger refuse before update on sessions for each row when (old.id = '{broken}') execute function refuse()"
    );
    other.batch_execute(&sql).await.unwrap();
    let answers = all_at_once(clients).await;
    let failed: Vec<usize> =
        answers.iter().enumerate().filter(|(_, (status, _))| *status != 200).map(|(at, _)| at).collect();
    assert_eq!(failed, [7]);
    other.batch_execute("drop trigger refuse on sessions").await.unwrap();
    for (_, mut client) in answers {
        assert_eq!(client.refresh().await.status, 200, "what was not acknowledged was not done");
        assert_eq!(client.get("/api/v1/me").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_all_sessions_while_they_are_refreshed_never_fails_and_lets_none_live() {
    let server = server().await;
    server.sign_up(ANN).await;
    for _ in 0..5 {
        let mut clients = Vec::new();
        for _ in 0..PEOPLE {
            clients.push(server.sign_in(ANN).await);
        }
        let mut boss = clients.pop().unwrap();
        let refreshing = tokio::spawn(all_at_once(clients));
        assert_eq!(boss.post_nothing("/api/v1/logout-all").await.status, 200);
        for (status, mut client) in refreshing.await.unwrap() {
            assert!([200, 401].contains(&status), "{status}");
            assert_eq!(client.refresh().await.status, 401);
        }
    }
}
