//! Redis over TLS, as the real program speaks with it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use flexgate::{devstack::free_port, journal::jetstream::Names};
use http::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    certificates::Authority,
    client,
    fixtures::{self, Nats, installed},
    program::Settings,
    upstream::Upstream,
};

/// A Redis that speaks TLS only, with a certificate of an authority that nobody else trusts.
struct EncryptedRedis {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl EncryptedRedis {
    fn start(program: &Path) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let authority = Authority::new();
        let own = authority.issue(&["127.0.0.1"]);
        for (file, pem) in [
            ("authority.pem", authority.pem()),
            ("own.pem", own.certificate),
            ("own.key", own.key),
        ] {
            fs::write(folder.path().join(file), pem).unwrap();
        }
        let process = Command::new(program)
            .current_dir(folder.path())
            .args([
                "--port",
                "0",
                "--tls-port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
            ])
            .args(["--tls-cert-file", "own.pem", "--tls-key-file", "own.key"])
            .args(["--tls-ca-cert-file", "authority.pem", "--tls-auth-clients", "no"])
            .args(["--requirepass", "swordfish", "--save", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            process,
            port,
            folder,
        }
    }

    fn url(&self) -> String {
        format!("rediss://:swordfish@127.0.0.1:{}", self.port)
    }

    /// Who signed its certificate.
    fn authority(&self) -> String {
        self.folder.path().join("authority.pem").display().to_string()
    }
}

impl Drop for EncryptedRedis {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[tokio::test]
async fn limits_are_shared_over_tls_with_a_redis_whose_certificate_is_trusted_and_no_other() {
    let Some(program) = installed("redis-server") else {
        return;
    };
    let redis = EncryptedRedis::start(&program);
    let nats = Nats::shared_url().await;
    let (prefix, folders) = (fixtures::prefix(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let settings = |folder: &TempDir, roles| {
        Settings::new(roles, folder.path(), (nats, &prefix)).with("REDIS_URL", redis.url())
    };
    let trusting = settings(&folders[0], "admin,gateway").with("SSL_CERT_FILE", redis.authority());
    let doubting = settings(&folders[1], "gateway");
    let (_trusting, _doubting) = (trusting.start(), doubting.start());

    let backend = Upstream::replying(200).start().await;
    let route = json!({
        "path": "/*",
        "upstream": backend.url(),
        "rateLimit": { "requests": 1, "window": "1h", "strict": true, "onRedisFailure": "closed" },
    });
    let created = trusting
        .api()
        .await
        .call(Method::POST, "/api/routes", Some(route))
        .await;
    assert_eq!(created.status, StatusCode::CREATED);
    trusting.shows("redis", "UP", "").await;
    doubting.shows("redis", "DOWN", "").await;

    let statuses = [
        client::get(trusting.proxy, "/a").await.status,
        client::get(trusting.proxy, "/a").await.status,
        client::get(doubting.proxy, "/a").await.status,
    ];
    assert_eq!(statuses.map(|status| status.as_u16()), [200, 429, 503]);
}
