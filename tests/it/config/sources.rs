//! What a node is told: by options, the environment, a `.env` file and the configuration file.

use std::{path::Path, time::Duration};

use flexgate::config::{Config, Layer, Purpose, Role, Roles, Sources};

use super::{environment, file, up};

#[test]
fn a_node_that_is_told_nothing_keeps_to_itself() {
    let config = up(&Sources::default()).unwrap();
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:8000");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:3000");
    assert_eq!(config.listen.ops.to_string(), "127.0.0.1:9900");
    assert_eq!(config.data_dir, Path::new(".flexgate"));
    assert_eq!(config.roles, Roles::ALL);
    assert_eq!(config.streams.stream("CONFIG"), "FLEXGATE_CONFIG");
    assert_eq!(config.streams.subject_root(), "flexgate");
    assert!(config.servers.nats.is_none() && config.file.is_none() && config.warnings.is_empty());
}

#[test]
fn the_stronger_source_wins_from_option_to_file() {
    let (_folder, path) = file("proxy: {port: 8001}\nlogging: {format: json}\n");
    let dotenv = format!("FLEXGATE_CONFIG={path}\n");
    let proxy = |layers: Vec<Layer>, dotenv: &str| {
        let sources = Sources::of(layers).with_dotenv(Path::new(".env"), dotenv);
        up(&sources).unwrap().listen.proxy.port()
    };
    let option = Layer::options([(
        "FLEXGATE_PROXY_ADDR",
        "--proxy-addr",
        Some("127.0.0.1:8004".to_owned()),
    )]);
    let variable = Layer::variables([("FLEXGATE_PROXY_ADDR", "127.0.0.1:8003")]);
    let env_file = format!("{dotenv}PORT=8002\n");

    assert_eq!(proxy(vec![], ""), 8000);
    assert_eq!(proxy(vec![], &dotenv), 8001);
    assert_eq!(proxy(vec![], &env_file), 8002);
    assert_eq!(proxy(vec![variable.clone()], &env_file), 8003);
    assert_eq!(proxy(vec![option, variable], &env_file), 8004);
    // The environment is stronger than `.env`, also where its name is the less specific one.
    let env_file = format!("{dotenv}FLEXGATE_PROXY_ADDR=127.0.0.1:8005\n");
    assert_eq!(proxy(vec![Layer::variables([("PORT", "8006")])], &env_file), 8006);
}

#[test]
fn the_readmes_environment_is_understood() {
    let text = "DATABASE_URL=postgresql://localhost/flexgate\nDATABASE_USER=flexgate\n\
                DATABASE_PASSWORD=your-password\nREDIS_URL=redis://localhost:6379\n\
                NATS_URL=nats://localhost:4222\nPORT=3000\n";
    let config = up(&Sources::default().with_dotenv(Path::new(".env"), text)).unwrap();
    let servers = &config.servers;
    assert_eq!(
        servers.postgres.as_ref().unwrap().expose(),
        "postgresql://flexgate:your-password@localhost/flexgate"
    );
    assert_eq!(servers.nats.as_ref().unwrap().expose(), "nats://localhost:4222");
    assert_eq!(servers.redis.as_ref().unwrap().expose(), "redis://localhost:6379");
    assert!(!format!("{config:?}").contains("your-password"));
}

#[test]
fn a_proxy_on_the_admins_port_moves_the_admin_and_says_so() {
    let config = up(&environment([("PORT", "3000")])).unwrap();
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:3000");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:3001");
    let said = config.warnings[0].to_string();
    assert!(
        said.contains("127.0.0.1:3001") && said.contains("FLEXGATE_ADMIN_ADDR"),
        "{said}"
    );

    let asked = environment([("PORT", "3000"), ("FLEXGATE_ADMIN_ADDR", "127.0.0.1:4000")]);
    let config = up(&asked).unwrap();
    assert_eq!(config.listen.admin.port(), 4000);
    assert!(config.warnings.is_empty());
    assert!(up(&environment([("PORT", "3000"), ("FLEXGATE_ADMIN_ADDR", "3000")])).is_err());
}

#[test]
fn every_mistake_is_reported_at_once_with_where_it_was_written() {
    let sources = environment([
        ("FLEXGATE_PROXY_ADDR", "nowhere"),
        ("FLEXGATE_THREADS", "0"),
        ("DATABASE_URL", "mysql://root:hunter2@db"),
        ("FLEXGATE_ADMIN_TOKEN", "hunter2"),
        ("FLEXGATE_CONFIG", "/nowhere/proxy.yml"),
        ("FLEXGATE_LOG", "flexgate=loud"),
    ]);
    let said = Config::load(
        &sources.with_dotenv(Path::new(".env"), "just words\n"),
        Purpose::Serve,
    )
    .unwrap_err()
    .to_string();
    for part in [
        "FLEXGATE_PROXY_ADDR: \"nowhere\"",
        "FLEXGATE_THREADS",
        "DATABASE_URL: not a URL that begins with postgresql://",
        "FLEXGATE_ADMIN_TOKEN: an admin token has at least 16",
        "/nowhere/proxy.yml",
        "FLEXGATE_LOG",
        ".env, line 1",
        "--role gateway,admin,projector,reactor",
    ] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_process_that_serves_does_what_its_roles_say() {
    let sources = environment([
        ("FLEXGATE_ROLES", "gateway, projector"),
        ("FLEXGATE_DRAIN_DELAY", "250ms"),
    ]);
    let config = Config::load(&sources, Purpose::Serve).unwrap();
    assert!(config.roles.contains(Role::Gateway) && !config.roles.contains(Role::Admin));
    assert_eq!(config.roles.to_string(), "gateway,projector");
    assert_eq!(config.drain.delay, Duration::from_millis(250));
}

#[test]
fn name_servers_are_those_of_the_system_unless_they_are_named() {
    assert!(up(&Sources::default()).unwrap().name_servers.is_empty());
    let config = up(&environment([(
        "FLEXGATE_DNS_SERVERS",
        "10.0.0.2, [fd00::2]:5353",
    )]))
    .unwrap();
    let named: Vec<_> = config.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["10.0.0.2:53", "[fd00::2]:5353"]);
    let wrong = up(&environment([("FLEXGATE_DNS_SERVERS", "dns.example")])).unwrap_err();
    assert!(wrong.to_string().starts_with("FLEXGATE_DNS_SERVERS: "), "{wrong}");
}

#[test]
fn a_proxy_port_of_3000_in_the_file_moves_the_admin_api_with_a_warning() {
    let (_folder, path) = file("proxy: {port: 3000}\n");
    let config = up(&environment([("FLEXGATE_CONFIG", &path)])).unwrap();
    assert_eq!(
        (config.listen.proxy.port(), config.listen.admin.port()),
        (3000, 3001)
    );
    assert!(config.warnings[0].to_string().contains("127.0.0.1:3001"));
}
