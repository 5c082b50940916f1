//! A whole server on a real socket.
use super::{TestApp, config_in};
use hallpass::config::Config;
use hallpass::server;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The server on a real socket, as the browser meets it.
pub struct Served {
    pub test: TestApp,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    /// With settings as a developer has them.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With changed settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let test = TestApp::start_with(|config| {
            *config = config_in(&config.server.data_dir);
            config.server.listen = address;
            change(config);
        })
        .await;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(server::serve(test.app.clone(), listener, stopped));
        Self { test, stop, task }
    }

    /// Ends it.
    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}
