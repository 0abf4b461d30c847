//! Keys on several nodes.

use super::*;

impl Node {
    /// The status of a request with this secret.
    async fn asked(&self, secret: &str) -> u16 {
        asked(self.proxy(), secret).await
    }
}

async fn asked(node: SocketAddr, secret: &str) -> u16 {
    let mut client = crate::wire::Client::connect(node).await;
    client
        .get("/a", &format!("x-api-key: {secret}\r\n"))
        .await
        .status()
}

fn text(answer: &client::Answer, field: &str) -> String {
    answer.json()[field].as_str().expect(field).to_owned()
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_every_node() {
    let cluster = Cluster::on(Nats::shared_url().await).await;
    let upstream = Upstream::replying(200).start().await;
    let nodes = [
        cluster.start("admin,gateway").await.ready().await,
        cluster.start("gateway").await.ready().await,
        cluster.start("gateway").await.ready().await,
    ];
    nodes[0].knows(3).await;
    let admin = nodes[0].admin();
    let mut route = route("a", "/a", &upstream);
    route["auth"] = json!("required");
    admin.call(Method::POST, "/api/routes", Some(route)).await;
    let post = async |path: String, body: Value| {
        let answer = admin
            .call(Method::POST, &format!("{path}?wait=nodes"), Some(body))
            .await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer
    };

    let created = post("/api/keys".to_owned(), json!({ "name": "app" })).await;
    let (address, first) = (
        format!("/api/keys/{}", text(&created, "id")),
        text(&created, "secret"),
    );
    for node in &nodes {
        assert_eq!(node.asked(&first).await, 200);
        assert_eq!(node.asked("something else").await, 401);
    }

    let rotated = post(format!("{address}/rotate"), json!({ "overlap": "1h" })).await;
    let second = text(&rotated, "secret");
    for node in &nodes {
        assert_eq!((node.asked(&first).await, node.asked(&second).await), (200, 200));
    }
    let third = text(
        &post(format!("{address}/rotate"), json!({ "overlap": "2s" })).await,
        "secret",
    );
    for node in &nodes {
        let ended = async {
            while node.asked(&first).await != 401 || node.asked(&second).await != 401 {
                tokio::time::sleep(fixtures::LOOK_AGAIN).await;
            }
        };
        timeout(PATIENCE, ended).await.expect("the overlap to end");
        assert_eq!(node.asked(&third).await, 200);
    }

    post(format!("{address}/revoke"), json!({})).await;
    for node in &nodes {
        assert_eq!(node.asked(&third).await, 401);
    }
    for node in nodes {
        node.stop().await;
    }
}
