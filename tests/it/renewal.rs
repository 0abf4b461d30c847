//! Certificates of a running program, from its environment to what clients are shown.

use std::{net::SocketAddr, path::Path, sync::Arc};

use flexgate::journal::jetstream::Names;
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::Authority,
    fixtures::{self, LOOK_AGAIN, Nats, PATIENCE},
    program::{Settings, free_addresses},
};

async fn settings(data: &Path, tls: SocketAddr) -> Settings {
    let (nats, prefix) = (Nats::shared_url().await, fixtures::prefix());
    fixtures::provisioned(nats, &Names::new(&prefix).unwrap()).await;
    let file = |name: &str| data.join(name).display().to_string();
    Settings::new("admin,gateway", data, (nats, &prefix))
        .with("FLEXGATE_PROXY_TLS_ADDR", tls.to_string())
        .with("FLEXGATE_TLS_CERTIFICATE", file("server.pem"))
        .with("FLEXGATE_TLS_KEY", file("server.key"))
}

/// What is shown, if somebody listens.
async fn shown(addr: SocketAddr, authority: &Authority) -> std::io::Result<Vec<u8>> {
    let mut config = authority.client(&[], None);
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(addr).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
}

#[tokio::test]
async fn a_certificate_that_is_replaced_on_the_disk_is_shown_without_a_restart() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let [tls] = free_addresses();
    let first = authority.issue(&["localhost"]);
    first.write(folder.path(), "server");
    let _running = settings(folder.path(), tls).await.start();
    let shows = async |expected: Vec<u8>| {
        let showing = async {
            while shown(tls, &authority).await.ok().as_ref() != Some(&expected) {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, showing).await.expect("the certificate");
    };
    shows(first.chain()[0].to_vec()).await;
    let renewed = authority.issue(&["localhost"]);
    renewed.write(folder.path(), "server"); // first the one file, then the other: in between they do not go together
    shows(renewed.chain()[0].to_vec()).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let [tls] = free_addresses();
    let settings = settings(folder.path(), tls).await.with("FLEXGATE_LOG", "error");
    let (status, said) = settings.run_to_its_end().await;
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("server.pem"), "{said}");
}
